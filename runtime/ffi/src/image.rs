//! Images in, scores or embeddings out.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr;

use edgelip::decode::{self, RgbImage};
use edgelip_runtime::image::Rgb;

use crate::argument;
use crate::model::{EdgelipModel, State, with_model};
use crate::status::{EdgelipStatus, Failure};

/// A label and how well it fits.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct EdgelipScore {
    /// Its name, which stays until the labels change or the model is closed.
    pub label: *const c_char,
    /// Its place among the labels, from 0.
    pub index: usize,
    /// Between 0 and 1.
    pub score: f32,
    /// Before softmax or sigmoid.
    pub logit: f32,
}

/// Labels an image: `height` rows of `width` pixels, three bytes each (red, green, blue), without gaps. The best labels, best first, are
/// written to `scores`, which has room for `room` of them; `*count` is how many were.
///
/// # Safety
/// Pointers are null or as said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn edgelip_classify_rgb(
    model: *mut EdgelipModel,
    pixels: *const u8,
    height: usize,
    width: usize,
    scores: *mut EdgelipScore,
    room: usize,
    count: *mut usize,
) -> EdgelipStatus {
    // SAFETY: as the caller vouches.
    unsafe {
        with_model(model, |state| {
            let image = pixels_of(pixels, height, width)?;
            let out = argument::places("the room for scores", scores, room)?;
            classify(state, image, out, argument::place("the place for the count", count)?)
        })
    }
}

/// Labels an image file (JPEG, PNG or WebP); for the rest see edgelip_classify_rgb.
///
/// # Safety
/// Pointers are null or as said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn edgelip_classify_file(
    model: *mut EdgelipModel,
    path: *const c_char,
    scores: *mut EdgelipScore,
    room: usize,
    count: *mut usize,
) -> EdgelipStatus {
    // SAFETY: as the caller vouches.
    unsafe {
        with_model(model, |state| {
            let image = file(path)?;
            let out = argument::places("the room for scores", scores, room)?;
            classify(state, image.view(), out, argument::place("the place for the count", count)?)
        })
    }
}

/// The number of values in an embedding; 0 for a model that is null.
///
/// # Safety
/// `model` is null, or was given by this library and not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn edgelip_embedding_length(model: *const EdgelipModel) -> usize {
    let mut length = 0;
    let read = |state: &mut State| {
        length = state.labeller.model().tower().vision().map_or(0, |vision| vision.shape().embedding);
        Ok(())
    };
    // SAFETY: as the caller vouches.
    unsafe { with_model(model, read) };
    length
}

/// Embeds an image, given as for edgelip_classify_rgb: writes edgelip_embedding_length values of unit length in sum of squares, for which
/// `room` must suffice.
///
/// # Safety
/// Pointers are null or as said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn edgelip_embed_rgb(
    model: *mut EdgelipModel,
    pixels: *const u8,
    height: usize,
    width: usize,
    embedding: *mut f32,
    room: usize,
) -> EdgelipStatus {
    // SAFETY: as the caller vouches.
    unsafe {
        with_model(model, |state| {
            let image = pixels_of(pixels, height, width)?;
            embed(state, image, argument::places("the room for the embedding", embedding, room)?)
        })
    }
}

/// Embeds an image file (JPEG, PNG or WebP); for the rest see edgelip_embed_rgb.
///
/// # Safety
/// Pointers are null or as said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn edgelip_embed_file(
    model: *mut EdgelipModel,
    path: *const c_char,
    embedding: *mut f32,
    room: usize,
) -> EdgelipStatus {
    // SAFETY: as the caller vouches.
    unsafe {
        with_model(model, |state| {
            let image = file(path)?;
            embed(state, image.view(), argument::places("the room for the embedding", embedding, room)?)
        })
    }
}

/// # Safety
/// `pixels` is null, or points to as many pixels as said.
unsafe fn pixels_of<'a>(pixels: *const u8, height: usize, width: usize) -> Result<Rgb<'a>, Failure> {
    let length = height.checked_mul(width).and_then(|count| count.checked_mul(3)).filter(|&length| length > 0);
    let Some(length) = length else {
        return Err(Failure::argument(format!("there are no images of {height}x{width} pixels")));
    };
    // SAFETY: as the caller vouches.
    let data = unsafe { argument::values("the image", pixels, length) }?;
    Ok(Rgb { data, height, width })
}

/// # Safety
/// `path` is null, or a text.
unsafe fn file(path: *const c_char) -> Result<RgbImage, Failure> {
    // SAFETY: as the caller vouches.
    let path = unsafe { argument::path("the image's path", path) }?;
    Ok(decode::rgb8(path)?)
}

fn classify(
    state: &mut State,
    image: Rgb<'_>,
    out: &mut [MaybeUninit<EdgelipScore>],
    count: &mut MaybeUninit<usize>,
) -> Result<(), Failure> {
    let count = count.write(0);
    let scores = state.labeller.classify(image)?;
    let order = scores.order(out.len());
    for (place, &index) in out.iter_mut().zip(&order) {
        let label = state.names.get(index).map_or(ptr::null(), |name| name.as_ptr());
        place.write(EdgelipScore { label, index, score: scores.scores[index], logit: scores.logits[index] });
    }
    *count = order.len();
    Ok(())
}

fn embed(state: &mut State, image: Rgb<'_>, out: &mut [MaybeUninit<f32>]) -> Result<(), Failure> {
    let embedding = state.labeller.embed(image)?;
    let Some(out) = out.get_mut(..embedding.len()) else {
        return Err(Failure::argument(format!("the embedding has {} values: make room", embedding.len())));
    };
    for (place, &value) in out.iter_mut().zip(embedding) {
        place.write(value);
    }
    Ok(())
}
