//! Rows of common camera formats as RGB, for boards that have no decoder but a sensor.
//!
//! YUV is BT.601, full range, as JPEG and most sensors' ISPs deliver it.

use crate::Error;
