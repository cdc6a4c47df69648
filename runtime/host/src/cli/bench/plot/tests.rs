use super::super::report::Row;
use super::*;

fn row(engine: &str, compression: f64, median_ms: f64, accuracy: Option<f64>) -> Row {
    Row {
        model: format!("{engine}-{compression}"),
        engine: engine.into(),
        threads: 1,
        compression: Some(compression),
        min_ms: 0.95 * median_ms,
        median_ms,
        p90_ms: 1.1 * median_ms,
        accuracy,
        ..Row::default()
    }
}

fn report(models: Vec<Row>) -> Report {
    Report {
        version: String::new(),
        kernels: None,
        processor: Some("A <B> & C".into()),
        governor: None,
        temperature_celsius: None,
        throttled: None,
        peak_rss_bytes: None,
        models,
    }
}

#[test]
fn a_line_for_each_engine_and_a_point_for_each_model() {
    let models = vec![row("native", 0.4, 60.0, None), row("native", 0.0, 100.0, None), row("tract", 0.0, 190.0, None)];
    let report = report(models);
    let series = series::of(&report.models);
    assert_eq!(
        series.iter().map(|series| series.name.as_str()).collect::<Vec<_>>(),
        ["native, 1 thread", "tract, 1 thread"]
    );
    assert_eq!(series[0].points.iter().map(|point| point.saved).collect::<Vec<_>>(), [0.0, 0.4]);
    assert_eq!(series[0].summary(), "100 to 60.0 ms");
    let svg = draw(&report, &series);
    assert_eq!(svg.matches("<circle").count(), 3);
    assert!(svg.contains("A &lt;B&gt; &amp; C") && !svg.contains("% right") && !svg.contains("NaN"));
}

#[test]
fn accuracy_has_a_panel_and_one_line_for_all_engines() {
    let point = |engine| [row(engine, 0.0, 9.0, Some(0.8)), row(engine, 0.5, 5.0, Some(0.7))];
    let report = report([point("native"), point("tract")].concat());
    let svg = draw(&report, &series::of(&report.models));
    assert!(svg.contains("% right"));
    assert_eq!(svg.matches("<circle").count(), 4 + 2);
}

#[test]
fn axes_end_on_ticks() {
    let axis = Axis::new(0.0, 187.0, [100.0, 0.0]);
    assert_eq!(axis.ticks().map(axis::number).collect::<Vec<_>>(), ["0", "50", "100", "150", "200"]);
    assert_eq!((axis.at(0.0), axis.at(100.0)), (100.0, 50.0));
    assert!(Axis::new(0.0, 0.0, [0.0, 1.0]).at(0.0).is_finite());
    assert_eq!(Axis::new(67.3, 71.0, [0.0, 1.0]).ticks().map(axis::number).next().unwrap(), "67");
}

#[test]
fn names_do_not_overlap() {
    assert_eq!(series::apart(&[100.0, 50.0, 101.0], 16.0), [85.0, 50.0, 101.0]);
    assert_eq!(series::apart(&[], 16.0), [0.0; 0]);
}

#[test]
fn models_that_say_nothing_can_not_be_plotted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.svg");
    let silent = Row { compression: None, ..row("native", 0.0, 1.0, None) };
    assert!(write(&report(vec![silent]), &path, false).is_err() && !path.exists());
    let one = report(vec![row("native", 0.0, 1.0, None)]);
    write(&one, &path, false).unwrap();
    assert!(write(&one, &path, false).is_err(), "not without --force");
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("<svg"));
}
