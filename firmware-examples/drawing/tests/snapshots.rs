//! Screens of common sizes, pixel by pixel as in `tests/snapshots/`. `UPDATE_SNAPSHOTS=1` writes them anew, to be looked at.

mod canvas;

use std::fs::{self, File};
use std::path::Path;

use canvas::Canvas;
use edgelip_drawing::{Cost, Label, Notice, Photo, Regions, Report, Screen};
use embedded_graphics::pixelcolor::{Rgb565, Rgb888};
use embedded_graphics::prelude::*;

const LABELS: [Label<'_>; 6] = [
    Label { name: "a cup of coffee on a wooden table", score: 0.9704 },
    Label { name: "café crème", score: 0.021 },
    Label { name: "Łódź, 猫 – “tea”", score: 0.0049 },
    Label { name: "a dog", score: 0.002 },
    Label { name: "a bicycle", score: 0.0012 },
    Label { name: "a house", score: 0.0 },
];

/// A sun over a hill, `[48, 48, 3]`.
fn photo() -> Vec<u8> {
    let pixel = |x: i32, y: i32| match () {
        () if (x - 33).pow(2) + (y - 13).pow(2) < 60 => [250, 210, 60],
        () if y > 30 + (x - 18).pow(2) / 40 => [40, 110, 50],
        () => [90, 150 - y as u8, 220],
    };
    (0..48).flat_map(|y| (0..48).flat_map(move |x| pixel(x, y))).collect()
}

/// What a matching might make of it, `[6, 6]`.
const MERGED: [u16; 36] =
    [0, 0, 0, 0, 1, 2, 0, 0, 0, 3, 3, 4, 0, 0, 0, 0, 5, 0, 6, 6, 7, 6, 6, 6, 8, 8, 8, 8, 8, 9, 8, 8, 8, 8, 8, 10];

fn report<'a>(model: &'a str, photo: &'a [u8], compression: f32) -> Report<'a> {
    Report {
        model,
        compression,
        costs: &[Cost::Micros(4_149), Cost::Count(67_460_000, "instr")],
        photo: Photo::new(photo, 48, 48),
        merged: if compression > 0.0 { Regions::new(&MERGED, 6, 6) } else { None },
        labels: &LABELS,
    }
}

#[test]
fn one_model() {
    let photo = photo();
    let status = Some("12.5 fps  0 dropped  48 °C");
    for (width, height) in [(128, 160), (240, 320), (320, 240), (640, 480)] {
        let screen = Screen { reports: &[report("mlip-tiny", &photo, 0.5)], status };
        let mut canvas = Canvas::<Rgb888>::new(width, height);
        screen.draw(&mut canvas).unwrap();
        compare(&format!("one-{width}x{height}"), &canvas);
    }
}

#[test]
fn two_models() {
    let photo = photo();
    for (width, height) in [(240, 320), (320, 240), (640, 480)] {
        let reports = [report("tiny-clip", &photo, 0.0), report("tiny-clip merged", &photo, 0.4)];
        let mut canvas = Canvas::<Rgb888>::new(width, height);
        Screen { reports: &reports, status: None }.draw(&mut canvas).unwrap();
        compare(&format!("two-{width}x{height}"), &canvas);
    }
}

#[test]
fn sixteen_bits_a_pixel() {
    let photo = photo();
    let mut canvas = Canvas::<Rgb565>::new(160, 128);
    Screen { reports: &[report("mlip-tiny", &photo, 0.5)], status: None }.draw(&mut canvas).unwrap();
    compare("rgb565-160x128", &canvas);
}

#[test]
fn notices() {
    let notice = Notice {
        title: "Model too large for the arena",
        text: "birds.onnx needs 620 KiB of scratch, the arena has 156 KiB.\nFlash a model with a higher compression rate, or enlarge the arena in memory.x.",
    };
    for (width, height) in [(128, 80), (320, 240)] {
        let mut canvas = Canvas::<Rgb888>::new(width, height);
        notice.draw(&mut canvas).unwrap();
        compare(&format!("notice-{width}x{height}"), &canvas);
    }
}

#[test]
fn every_size_is_drawn_without_panic_and_within_the_target() {
    let photo = photo();
    let reports = [report("a model with a name that is far too long", &photo, 0.5), report("b", &photo, 0.0)];
    for (width, height) in (0..40).flat_map(|w| (0..40).map(move |h| (w * 7, h * 5))) {
        for count in 0..=2 {
            let mut canvas = Canvas::<Rgb565>::new(width, height);
            Screen { reports: &reports[..count], status: Some("status") }.draw(&mut canvas).unwrap();
            Notice { title: "Too large", text: "More about it." }.draw(&mut canvas).unwrap();
        }
    }
}

/// Holds a canvas against its snapshot.
fn compare<C: RgbColor + Into<Rgb888>>(name: &str, canvas: &Canvas<C>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let snapshot = root.join(format!("tests/snapshots/{name}.png"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        canvas.write_png(&snapshot);
    }
    let mut reader = png::Decoder::new(std::io::BufReader::new(File::open(&snapshot).unwrap())).read_info().unwrap();
    let mut expected = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut expected).unwrap();
    if (frame.width, frame.height) != (canvas.width, canvas.height) || expected != canvas.rgb() {
        let drawn = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.png"));
        fs::create_dir_all(drawn.parent().unwrap()).unwrap();
        canvas.write_png(&drawn);
        panic!("{} differs from {}", drawn.display(), snapshot.display());
    }
}
