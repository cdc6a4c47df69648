//! What C may hand over by mistake: a status and a reason, never a crash.

use std::ffi::{CStr, CString, c_char};
use std::path::{Path, PathBuf};
use std::{fs, mem, ptr, thread};

use edgelip_ffi::EdgelipStatus::{Argument, Io, Ok, Refused};
use edgelip_ffi::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

fn c(text: impl AsRef<Path>) -> CString {
    CString::new(text.as_ref().to_str().unwrap()).unwrap()
}

fn reason() -> String {
    // SAFETY: the library's text stays until the next failure.
    unsafe { CStr::from_ptr(edgelip_error()) }.to_str().unwrap().to_string()
}

fn open(path: impl AsRef<Path>) -> (EdgelipStatus, *mut EdgelipModel) {
    let mut model = ptr::dangling_mut();
    // SAFETY: a text and a place.
    let status = unsafe { edgelip_open(c(path).as_ptr(), 1, &mut model) };
    (status, model)
}

const NO_SCORE: EdgelipScore = EdgelipScore { label: ptr::null(), index: 0, score: 0.0, logit: 0.0 };

#[test]
fn what_can_not_be_opened() {
    let mut model = ptr::dangling_mut();
    // SAFETY: null is allowed everywhere, to be refused.
    unsafe {
        assert_eq!(edgelip_open(ptr::null(), 1, &mut model), Argument);
        assert!(model.is_null());
        assert_eq!(reason(), "the path is null");
        assert_eq!(edgelip_open(c"a".as_ptr(), 1, ptr::null_mut()), Argument);
        assert_eq!(edgelip_open(c"\xff".as_ptr(), 1, &mut model), Argument);
        assert_eq!(reason(), "the path is not UTF-8");
        assert_eq!(edgelip_open(c"a".as_ptr(), 1_000_000, &mut model), Argument);
        assert_eq!(edgelip_open_bytes(ptr::null(), 5, 1, &mut model), Argument);
        assert_eq!(edgelip_open_bytes([0_u8; 4].as_ptr(), usize::MAX, 1, &mut model), Argument);
        edgelip_close(ptr::null_mut());
    }
    assert_eq!(open("none.onnx"), (Io, ptr::null_mut()));
    assert!(reason().starts_with("none.onnx: No such file"), "{}", reason());
    for refused in [fixture(""), fixture("labels.txt"), fixture("tiny-clip-text.onnx")] {
        assert_eq!(open(&refused), (Refused, ptr::null_mut()), "{}", refused.display());
        assert!(reason().contains(refused.to_str().unwrap()), "{}", reason());
    }
}

#[test]
fn no_model_is_refused_by_every_function() {
    let (none, mut count, mut values) = (ptr::null_mut(), 9, [0.0; 64]);
    let mut scores = [NO_SCORE; 2];
    let pixel = [1_u8; 3];
    // SAFETY: null is allowed everywhere, to be refused.
    unsafe {
        let statuses = [
            edgelip_set_labels(none, ptr::null(), 0, ptr::null(), ptr::null()),
            edgelip_classify_rgb(none, pixel.as_ptr(), 1, 1, scores.as_mut_ptr(), 2, &mut count),
            edgelip_classify_file(none, c"a.png".as_ptr(), scores.as_mut_ptr(), 2, &mut count),
            edgelip_embed_rgb(none, pixel.as_ptr(), 1, 1, values.as_mut_ptr(), 64),
            edgelip_embed_file(none, c"a.png".as_ptr(), values.as_mut_ptr(), 64),
        ];
        assert_eq!(statuses, [Argument; 5]);
        assert_eq!(reason(), "the model is null");
        assert_eq!((edgelip_label_count(none), edgelip_embedding_length(none)), (0, 0));
        assert!(edgelip_label(none, 0).is_null());
        assert!(!CStr::from_ptr(edgelip_version()).is_empty());
    }
}

#[test]
fn images_are_checked() {
    let (status, model) = open(fixture("tiny-clip.onnx"));
    assert_eq!(status, Ok, "{}", reason());
    let photo = edgelip::decode::rgb8(&fixture("photos/cat.png")).unwrap();
    let (height, width) = (photo.height, photo.width);
    let mut scores = [NO_SCORE; 100];
    let (mut count, room) = (9, scores.len());
    let pixels = photo.data.as_ptr();
    // SAFETY: null, or an array with its own length.
    unsafe {
        let (out, length) = (scores.as_mut_ptr(), edgelip_embedding_length(model));
        assert_eq!(edgelip_classify_rgb(model, ptr::null(), height, width, out, room, &mut count), Argument);
        assert_eq!(count, 9, "nothing is promised of the count before the other arguments hold");
        for [height, width] in [[0, 1], [1, 0], [usize::MAX, 2], [usize::MAX / 3, 1]] {
            assert_eq!(edgelip_classify_rgb(model, pixels, height, width, out, room, &mut count), Argument);
        }
        assert_eq!(edgelip_classify_rgb(model, pixels, height, width, ptr::null_mut(), room, &mut count), Argument);
        assert_eq!(edgelip_classify_rgb(model, pixels, height, width, out, room, ptr::null_mut()), Argument);
        assert_eq!(edgelip_classify_rgb(model, pixels, height, width, ptr::null_mut(), 0, &mut count), Ok);
        assert_eq!(count, 0);
        assert_eq!(edgelip_classify_file(model, c"none.png".as_ptr(), out, room, &mut count), Io);
        assert_eq!(edgelip_classify_file(model, c(fixture("labels.txt")).as_ptr(), out, room, &mut count), Refused);

        assert_eq!(edgelip_classify_rgb(model, pixels, height, width, out, room, &mut count), Ok, "{}", reason());
        assert_eq!(count, edgelip_label_count(model));
        assert!((scores[..count].iter().map(|score| score.score).sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(scores[..count].is_sorted_by(|a, b| a.score >= b.score));
        for score in &scores[..count] {
            assert_eq!(score.label, edgelip_label(model, score.index));
        }
        assert!(edgelip_label(model, count).is_null());

        let mut values = vec![0.0_f32; length];
        assert_eq!(edgelip_embed_rgb(model, pixels, height, width, values.as_mut_ptr(), length - 1), Argument);
        assert!(reason().contains(&length.to_string()));
        assert_eq!(edgelip_embed_rgb(model, pixels, height, width, values.as_mut_ptr(), length), Ok);
        assert!((values.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-5);
        let mut again = vec![0.0_f32; length];
        let path = c(fixture("photos/cat.png"));
        assert_eq!(edgelip_embed_file(model, path.as_ptr(), again.as_mut_ptr(), length), Ok);
        assert_eq!(values, again);
        edgelip_close(model);
    }
}

#[test]
fn labels_come_and_go() {
    let (_, model) = open(fixture("tiny-clip.onnx"));
    let text = c(fixture("tiny-clip-text.onnx"));
    let set = |names: &[&CStr], tower: *const c_char, prompt: *const c_char| {
        let names: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: arrays and texts, or null.
        unsafe { edgelip_set_labels(model, names.as_ptr(), names.len(), tower, prompt) }
    };
    // SAFETY: the model is open; the library's texts stay until the labels change.
    unsafe {
        let own = edgelip_label_count(model);
        assert_eq!(set(&[c"a dog", c"a \xf0\x9f\x90\x88"], text.as_ptr(), c"{}!".as_ptr()), Ok, "{}", reason());
        assert_eq!(edgelip_label_count(model), 2);
        assert_eq!(CStr::from_ptr(edgelip_label(model, 1)), c"a \xf0\x9f\x90\x88");
        assert_eq!(set(&[], text.as_ptr(), ptr::null()), Refused);
        assert_eq!(set(&[c"a", c"a"], text.as_ptr(), ptr::null()), Refused);
        assert!(reason().contains("`a` is there twice"));
        assert_eq!(set(&[c"a"], ptr::null(), ptr::null()), Argument);
        assert_eq!(set(&[c"a"], text.as_ptr(), c"no place".as_ptr()), Refused);
        assert_eq!(set(&[c"a"], c"none.onnx".as_ptr(), ptr::null()), Io);
        assert_eq!(set(&[c"a"], c(fixture("tiny-mlip.onnx")).as_ptr(), ptr::null()), Refused);
        assert_eq!(edgelip_set_labels(model, ptr::null(), 3, text.as_ptr(), ptr::null()), Argument);
        let nothing = [ptr::null()];
        assert_eq!(edgelip_set_labels(model, nothing.as_ptr(), 1, text.as_ptr(), ptr::null()), Argument);
        assert_eq!(edgelip_label_count(model), 2, "after an error the earlier labels stay");
        assert_eq!(edgelip_set_labels(model, ptr::null(), 0, ptr::null(), ptr::null()), Ok);
        assert_eq!(edgelip_label_count(model), own);
        edgelip_close(model);
    }
}

/// Bytes at a multiple of 64.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line([u8; 64]);

#[test]
fn a_model_in_memory_is_used_where_it_lies_and_by_many_threads() {
    let file = fs::read(fixture("tiny-clip.onnx")).unwrap();
    let mut memory = vec![Line([0; 64]); file.len().div_ceil(64) + 1];
    for (line, bytes) in memory.iter_mut().zip(file.chunks(64)) {
        line.0[..bytes.len()].copy_from_slice(bytes);
    }
    let first = memory.as_ptr().cast::<u8>();
    let mut model = ptr::null_mut();
    // SAFETY: the memory outlives the model.
    let status = unsafe { edgelip_open_bytes(first, file.len(), 1, &mut model) };
    assert_eq!(status, Ok, "{}", reason());
    let (_, mapped) = open(fixture("tiny-clip.onnx"));
    let models = [model as usize, mapped as usize];
    let answers: Vec<_> = thread::scope(|scope| {
        let ask = |model: usize| {
            let (mut scores, mut count) = ([NO_SCORE; 3], 0);
            let photo = c(fixture("photos/rocket.webp"));
            // SAFETY: both models stay open.
            let status =
                unsafe { edgelip_classify_file(model as *mut _, photo.as_ptr(), scores.as_mut_ptr(), 3, &mut count) };
            assert_eq!((status, count), (Ok, 3));
            scores.map(|score| (score.index, score.score.to_bits()))
        };
        let threads: Vec<_> = (0..8).map(|i| scope.spawn(move || ask(models[i % 2]))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    // SAFETY: no thread has them any more.
    unsafe {
        edgelip_close(model);
        edgelip_close(mapped);
    }

    // Bytes that lie askew, and every way to cut them short.
    // SAFETY: the memory has a line more than the file.
    unsafe {
        let askew = memory.as_mut_ptr().cast::<u8>().add(1);
        ptr::copy(memory.as_ptr().cast::<u8>(), askew, file.len());
        assert_eq!(edgelip_open_bytes(askew, file.len(), 1, &mut model), Refused);
        assert!(reason().contains("not aligned"), "{}", reason());
        ptr::copy(askew, memory.as_mut_ptr().cast::<u8>(), file.len());
        for part in 1..32 {
            let status = edgelip_open_bytes(memory.as_ptr().cast(), file.len() * part / 32, 1, &mut model);
            assert_eq!((status, model.is_null()), (Refused, true), "{part}/32");
        }
    }
    assert_eq!(mem::size_of::<EdgelipStatus>(), 4);
}
