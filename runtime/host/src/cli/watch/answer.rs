//! What is said about a frame.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use edgelip::camera::Frame;
use edgelip_runtime::classify;
use serde::Serialize;

use super::health::Health;

/// The answer to a frame: a line of JSON, a line of text, or a screen.
#[derive(Debug, Serialize)]
pub struct Answer<'a> {
    /// Seconds since 1970.
    time: f64,
    /// Number of the frame among those that were looked at, from 1 on.
    frame: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    /// The label that is kept until another one is clearly better.
    label: Option<&'a str>,
    /// It and the best of the others, with smoothed scores.
    pub labels: Vec<Scored<'a>>,
    /// From pixels to scores.
    pub milliseconds: f64,
    /// Frames per second.
    pub fps: Option<f64>,
    /// Frames dropped since the start.
    pub dropped: u64,
    /// Degrees Celsius.
    pub temperature: Option<f64>,
}

/// A label with its smoothed score.
#[derive(Debug, Serialize)]
pub struct Scored<'a> {
    pub label: &'a str,
    pub score: f32,
}

impl<'a> Answer<'a> {
    /// `smooth` are the scores of `names`; the label that is `kept` and others are shown, as many as are asked for.
    pub fn new(
        frame: &'a Frame,
        names: &'a [String],
        smooth: &[f32],
        (kept, count): (Option<usize>, usize),
        milliseconds: f64,
        health: &Health,
    ) -> Self {
        let mut order = vec![0; count.min(names.len())];
        classify::top_k(smooth, &mut order);
        if let Some(kept) = kept {
            let place = order.iter().position(|&index| index == kept).unwrap_or(order.len().saturating_sub(1));
            if let Some(to_front) = order.get_mut(..=place) {
                to_front[place] = kept;
                to_front.rotate_right(1);
            }
        }
        let scored = |index: usize| Scored { label: &names[index], score: smooth[index] };
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as f64 / 1e3;
        Answer {
            time,
            frame: health.frames,
            image: frame.name.as_deref(),
            label: kept.map(|index| names[index].as_str()),
            labels: order.into_iter().map(scored).collect(),
            milliseconds,
            fps: health.rate(),
            dropped: health.dropped,
            temperature: health.temperature,
        }
    }

    /// Prints a line for people.
    pub fn print(&self, out: &mut dyn Write) -> Result<()> {
        let Some(Scored { label, score }) = self.labels.first() else { return Ok(()) };
        match self.image {
            Some(image) => write!(out, "{image}")?,
            None => write!(out, "frame {}", self.frame)?,
        }
        writeln!(out, "  {label}  {:.2} %  {:.1} ms", 100.0 * score, self.milliseconds)?;
        Ok(())
    }

    /// The line at the bottom of a screen.
    pub fn status(&self) -> String {
        let mut status = self.fps.map_or(String::new(), |fps| format!("{fps:.1} fps  "));
        status += &format!("{} dropped", self.dropped);
        if let Some(temperature) = self.temperature {
            status += &format!("  {temperature:.0} °C");
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kept_label_comes_first() {
        let names = ["cat", "dog", "cow"].map(String::from);
        let (frame, mut health) = (Frame::default(), Health::new());
        health.count(7);
        let labels = |kept, count| {
            let answer = Answer::new(&frame, &names, &[0.2, 0.5, 0.3], (kept, count), 1.0, &health);
            assert_eq!((answer.dropped, answer.frame, answer.fps), (7, 1, None));
            answer.labels.iter().map(|scored| scored.label).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(labels(Some(1), 3), "dog cow cat");
        assert_eq!(labels(Some(2), 3), "cow dog cat");
        assert_eq!(labels(Some(0), 2), "cat dog");
        assert_eq!(labels(Some(0), 1), "cat");
        assert_eq!(labels(None, 9), "dog cow cat");
    }
}
