//! Models as C holds them.

use std::ffi::{CString, c_char};
use std::sync::Mutex;

use edgelip::threads::{MAX_THREADS, default_threads};
use edgelip::{Labeller, Options};

use crate::argument;
use crate::status::{EdgelipStatus, Failure, call};

/// An open model.
pub struct EdgelipModel(Mutex<State>);

pub(crate) struct State {
    pub labeller: Labeller,
    /// The labels' names as C reads them.
    pub names: Vec<CString>,
}

impl State {
    /// Takes the names over from the labeller.
    pub(crate) fn name(&mut self) {
        let names = self.labeller.model().names();
        self.names = names.into_iter().map(|name| CString::new(name.replace('\0', " ")).unwrap_or_default()).collect();
    }
}

/// Does something with a model.
///
/// # Safety
/// `model` is null, or was given by this library and not closed.
pub(crate) unsafe fn with_model(
    model: *const EdgelipModel,
    work: impl FnOnce(&mut State) -> Result<(), Failure>,
) -> EdgelipStatus {
    call(|| {
        // SAFETY: the caller vouches for the model.
        let model = unsafe { argument::reference("the model", model) }?;
        let mut state = model.0.lock().map_err(|_| Failure {
            status: EdgelipStatus::Internal,
            reason: "an earlier call met a fault in edgelip itself: the model can only be closed".into(),
        })?;
        work(&mut state)
    })
}

/// Opens a model file, which is mapped into memory: its weights are read where they lie. `threads` are the threads it may use, this one
/// included; 0 stands for the physical cores. On success `*model` is the model, to be closed with edgelip_close; otherwise null.
/// The file must not be changed while it is open; to replace it, rename another one over it.
///
/// # Safety
/// Pointers are null or as said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn edgelip_open(
    path: *const c_char,
    threads: u32,
    model: *mut *mut EdgelipModel,
) -> EdgelipStatus {
    // SAFETY: as the caller vouches.
    unsafe {
        give(model, || Labeller::open(argument::path("the path", path)?, options(threads)?).map_err(Failure::from))
    }
}

/// Opens a model file's contents in memory, which are not copied: they stay where and as they are until the model is closed.
/// `bytes` is at a multiple of 64. For the rest see edgelip_open.
///
/// # Safety
/// Pointers are null or as said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn edgelip_open_bytes(
    bytes: *const u8,
    length: usize,
    threads: u32,
    model: *mut *mut EdgelipModel,
) -> EdgelipStatus {
    // SAFETY: as the caller vouches; `'static` stands for the time until the model is closed, after which nothing reads them.
    unsafe {
        give(model, || {
            let bytes = argument::values("the model's memory", bytes, length)?;
            Ok(Labeller::from_bytes(bytes, options(threads)?)?)
        })
    }
}

/// Closes a model and frees what it holds; null is allowed. Afterwards neither the model nor its labels may be used.
///
/// # Safety
/// `model` is null, or was given by this library, not closed, and is not in use by another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn edgelip_close(model: *mut EdgelipModel) {
    if !model.is_null() && model.is_aligned() {
        call(|| {
            // SAFETY: the caller vouches that `give` made it from a box, and that nobody has it any more.
            drop(unsafe { Box::from_raw(model) });
            Ok(())
        });
    }
}

fn options(threads: u32) -> Result<Options, Failure> {
    let threads = match usize::try_from(threads) {
        Ok(0) => default_threads(),
        Ok(threads) if threads <= MAX_THREADS => threads,
        _ => return Err(Failure::argument(format!("there can be {MAX_THREADS} threads at most"))),
    };
    Ok(Options { threads, ..Options::default() })
}

/// Opens a model and puts it, or null, into `place`.
///
/// # Safety
/// `place` is null, or points to memory for a pointer.
unsafe fn give(place: *mut *mut EdgelipModel, open: impl FnOnce() -> Result<Labeller, Failure>) -> EdgelipStatus {
    call(|| {
        // SAFETY: as the caller vouches.
        let place = unsafe { argument::place("the place for the model", place) }?;
        let place = place.write(std::ptr::null_mut());
        let mut state = State { labeller: open()?, names: Vec::new() };
        state.name();
        *place = Box::into_raw(Box::new(EdgelipModel(Mutex::new(state))));
        Ok(())
    })
}
