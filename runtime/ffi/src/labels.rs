//! What a model chooses from.

use std::ffi::c_char;
use std::ptr;

use edgelip::label_set::{self, DEFAULT_TEMPLATE, LabelSet};

use crate::argument;
use crate::model::{EdgelipModel, with_model};
use crate::status::{EdgelipStatus, Failure};

/// Chooses from these labels from now on. `names` are `count` texts, `text_tower` is the path of the text tower's file that embeds them,
/// `prompt` is a text with {} for the name, or null for "a photo of a {}.". Without names (null and 0) the labels in the model's own file
/// are taken again. After an error the earlier labels stay.
///
/// # Safety
/// Pointers are null or as said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn edgelip_set_labels(
    model: *mut EdgelipModel,
    names: *const *const c_char,
    count: usize,
    text_tower: *const c_char,
    prompt: *const c_char,
) -> EdgelipStatus {
    let change = |state: &mut crate::model::State| {
        if names.is_null() && count == 0 {
            state.labeller.choose_from_own()?;
            state.name();
            return Ok(());
        }
        // SAFETY: as the caller vouches, for the array and for each text in it.
        let (names, text_tower, prompt) = unsafe {
            let names = argument::values("the array of names", names, count)?;
            let names =
                names.iter().map(|&name| argument::text("a name", name)).collect::<Result<Vec<_>, Failure>>()?;
            let prompt = match prompt.is_null() {
                true => DEFAULT_TEMPLATE,
                false => argument::text("the prompt", prompt)?,
            };
            (names, argument::path("the text tower's path", text_tower)?, prompt)
        };
        let set = LabelSet::from_names("names", names)?;
        state.labeller.choose_from(&set, &label_set::templates("prompt", [prompt])?, text_tower)?;
        state.name();
        Ok(())
    };
    // SAFETY: as the caller vouches.
    unsafe { with_model(model, change) }
}

/// How many labels there are to choose from; 0 for a model that is null.
///
/// # Safety
/// `model` is null, or was given by this library and not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn edgelip_label_count(model: *const EdgelipModel) -> usize {
    let mut count = 0;
    let read = |state: &mut crate::model::State| {
        count = state.names.len();
        Ok(())
    };
    // SAFETY: as the caller vouches.
    unsafe { with_model(model, read) };
    count
}

/// The name of a label, or null if there is none of this index. It stays until the labels change or the model is closed.
///
/// # Safety
/// `model` is null, or was given by this library and not closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn edgelip_label(model: *const EdgelipModel, index: usize) -> *const c_char {
    let mut name = ptr::null();
    let read = |state: &mut crate::model::State| {
        name = state.names.get(index).map_or(ptr::null(), |name| name.as_ptr());
        Ok(())
    };
    // SAFETY: as the caller vouches.
    unsafe { with_model(model, read) };
    name
}
