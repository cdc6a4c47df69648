//! Values that settings have, on the command line as in a profile.

use clap::ValueEnum;
use edgelip_runtime::image::camera::Range;
use serde::Deserialize;

/// Width and height, written `640x480`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Size {
    pub width: usize,
    pub height: usize,
}

impl std::str::FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sides =
            text.split_once(['x', 'X', '×']).map(|(width, height)| (width.trim().parse(), height.trim().parse()));
        match sides {
            Some((Ok(width @ 1..=16_384), Ok(height @ 1..=16_384))) => Ok(Size { width, height }),
            _ => Err(format!("{text:?} is no size like 640x480")),
        }
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Columns and rows, written `0x20`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Offset(pub [u16; 2]);

impl std::str::FromStr for Offset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('x').map(|(x, y)| (x.trim().parse(), y.trim().parse())) {
            Some((Ok(x), Ok(y))) => Ok(Offset([x, y])),
            _ => Err(format!("{text:?} is no offset like 0x20")),
        }
    }
}

impl TryFrom<String> for Offset {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Frames per second: from one an hour to a thousand.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Rate(pub f64);

/// A number from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Share(pub f64);

impl TryFrom<f64> for Rate {
    type Error = String;

    fn try_from(rate: f64) -> Result<Self, String> {
        let possible = (1.0 / 3600.0..=1000.0).contains(&rate);
        if possible {
            Ok(Rate(rate))
        } else {
            Err("a rate is at most 1000 frames a second, at least one an hour".into())
        }
    }
}

impl TryFrom<f64> for Share {
    type Error = String;

    fn try_from(share: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&share) { Ok(Share(share)) } else { Err("a number from 0 to 1 is wanted".into()) }
    }
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("{text:?} is no number")).and_then(|rate: f64| rate.try_into())
    }
}

impl std::str::FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("{text:?} is no number")).and_then(|share: f64| share.try_into())
    }
}

/// The range of YUV bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RangeName {
    /// 0 to 255
    Full,
    /// 16 to 235
    Limited,
}

impl From<RangeName> for Range {
    fn from(name: RangeName) -> Range {
        match name {
            RangeName::Full => Range::Full,
            RangeName::Limited => Range::Limited,
        }
    }
}
