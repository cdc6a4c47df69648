// edgelip: labels for images, on small boards.
//
// Generated from runtime/ffi/src by its tests: EDGELIP_BLESS=1 cargo test --release -p edgelip-ffi
//
// A function that can fail returns a status; edgelip_error() has the reason in words. A model may be used from several threads, one
// call after the other. Texts are UTF-8 and end with a zero byte.

#ifndef EDGELIP_H
#define EDGELIP_H

#include <stddef.h>
#include <stdint.h>

// How a call went.
typedef enum {
  // It did what was asked.
  EDGELIP_STATUS_OK = 0,
  // An argument is null, not UTF-8, or of a length that can't be.
  EDGELIP_STATUS_ARGUMENT = 1,
  // A file can't be read.
  EDGELIP_STATUS_IO = 2,
  // A model, an image or labels that can't be used.
  EDGELIP_STATUS_REFUSED = 3,
  // A fault in edgelip itself. The model can only be closed now.
  EDGELIP_STATUS_INTERNAL = 4,
} EdgelipStatus;

// An open model.
typedef struct EdgelipModel EdgelipModel;

// A label and how well it fits.
typedef struct {
  // Its name, which stays until the labels change or the model is closed.
  const char *label;
  // Its place among the labels, from 0.
  size_t index;
  // Between 0 and 1.
  float score;
  // Before softmax or sigmoid.
  float logit;
} EdgelipScore;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Why the latest call of this thread that failed did so: one line that names the file and what to do; empty before any.
// It stays until the next call of this thread that fails.
const char *edgelip_error(void);

// The library's version, such as "0.1.0".
const char *edgelip_version(void);

// Opens a model file, which is mapped into memory: its weights are read where they lie. `threads` are the threads it may use, this one
// included; 0 stands for the physical cores. On success `*model` is the model, to be closed with edgelip_close; otherwise null.
// The file must not be changed while it is open; to replace it, rename another one over it.
//
// # Safety
// Pointers are null or as said.
EdgelipStatus edgelip_open(const char *path,
                           uint32_t threads,
                           EdgelipModel **model);

// Opens a model file's contents in memory, which are not copied: they stay where and as they are until the model is closed.
// `bytes` is at a multiple of 64. For the rest see edgelip_open.
//
// # Safety
// Pointers are null or as said.
EdgelipStatus edgelip_open_bytes(const uint8_t *bytes,
                                 size_t length,
                                 uint32_t threads,
                                 EdgelipModel **model);

// Closes a model and frees what it holds; null is allowed. Afterwards neither the model nor its labels may be used.
//
// # Safety
// `model` is null, or was given by this library, not closed, and is not in use by another thread.
void edgelip_close(EdgelipModel *model);

// Chooses from these labels from now on. `names` are `count` texts, `text_tower` is the path of the text tower's file that embeds them,
// `prompt` is a text with {} for the name, or null for "a photo of a {}.". Without names (null and 0) the labels in the model's own file
// are taken again. After an error the earlier labels stay.
//
// # Safety
// Pointers are null or as said.
EdgelipStatus edgelip_set_labels(EdgelipModel *model,
                                 const char *const *names,
                                 size_t count,
                                 const char *text_tower,
                                 const char *prompt);

// How many labels there are to choose from; 0 for a model that is null.
//
// # Safety
// `model` is null, or was given by this library and not closed.
size_t edgelip_label_count(const EdgelipModel *model);

// The name of a label, or null if there is none of this index. It stays until the labels change or the model is closed.
//
// # Safety
// `model` is null, or was given by this library and not closed.
const char *edgelip_label(const EdgelipModel *model,
                          size_t index);

// Labels an image: `height` rows of `width` pixels, three bytes each (red, green, blue), without gaps. The best labels, best first, are
// written to `scores`, which has room for `room` of them; `*count` is how many were.
//
// # Safety
// Pointers are null or as said.
EdgelipStatus edgelip_classify_rgb(EdgelipModel *model,
                                   const uint8_t *pixels,
                                   size_t height,
                                   size_t width,
                                   EdgelipScore *scores,
                                   size_t room,
                                   size_t *count);

// Labels an image file (JPEG, PNG or WebP); for the rest see edgelip_classify_rgb.
//
// # Safety
// Pointers are null or as said.
EdgelipStatus edgelip_classify_file(EdgelipModel *model,
                                    const char *path,
                                    EdgelipScore *scores,
                                    size_t room,
                                    size_t *count);

// The number of values in an embedding; 0 for a model that is null.
//
// # Safety
// `model` is null, or was given by this library and not closed.
size_t edgelip_embedding_length(const EdgelipModel *model);

// Embeds an image, given as for edgelip_classify_rgb: writes edgelip_embedding_length values of unit length in sum of squares, for which
// `room` must suffice.
//
// # Safety
// Pointers are null or as said.
EdgelipStatus edgelip_embed_rgb(EdgelipModel *model,
                                const uint8_t *pixels,
                                size_t height,
                                size_t width,
                                float *embedding,
                                size_t room);

// Embeds an image file (JPEG, PNG or WebP); for the rest see edgelip_embed_rgb.
//
// # Safety
// Pointers are null or as said.
EdgelipStatus edgelip_embed_file(EdgelipModel *model,
                                 const char *path,
                                 float *embedding,
                                 size_t room);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* EDGELIP_H */
