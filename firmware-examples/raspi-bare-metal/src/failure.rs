//! What can go wrong, as it is told on the screen and on the console.

use core::fmt;

use edgelip_runtime::Error;

/// Why nothing can be labelled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Failure {
    /// The image was built without a model.
    NoModel,
    /// Where a model should lie there is nothing.
    Missing {
        /// Its name.
        model: &'static str,
        /// Where it should lie.
        address: usize,
    },
    /// Nothing has been loaded where a model should be.
    NotLoaded {
        /// Where it should be.
        address: usize,
    },
    /// A model should be loaded where there is no memory for it.
    NotFree {
        /// Where it should be.
        address: usize,
        /// Where free memory begins.
        start: usize,
        /// Where it ends.
        end: usize,
    },
    /// A model's bytes are not those that were linked.
    Damaged {
        /// Its name.
        model: &'static str,
    },
    /// A model that the runtime refuses.
    Refused {
        /// Its name.
        model: &'static str,
        /// What the runtime says.
        error: Error,
    },
    /// A model without labels.
    NoLabels {
        /// Its name.
        model: &'static str,
    },
    /// A model and a photo that need more memory than there is.
    Arena {
        /// The model's name.
        model: &'static str,
        /// What is too small.
        part: &'static str,
        /// Bytes that it must have.
        needed: usize,
        /// Bytes that it has.
        available: usize,
    },
}

impl Failure {
    /// What is wrong, in a few words.
    pub fn title(&self) -> &'static str {
        match self {
            Failure::NoModel => "No model",
            Failure::Missing { .. } | Failure::NotLoaded { .. } | Failure::NotFree { .. } => "Model missing",
            Failure::Damaged { .. } => "Model damaged",
            Failure::Refused { .. } => "Model refused",
            Failure::NoLabels { .. } => "Model without labels",
            Failure::Arena { .. } => "Model too large for the arena",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Failure::NoModel => f.write_str("This image was built without one: build it with MODELS=model.onnx."),
            Failure::Missing { model, address } => {
                write!(f, "There is nothing at {address:#x}, where `{model}` belongs: write kernel8.img again.")
            }
            Failure::NotLoaded { address } => write!(
                f,
                "There is nothing at {address:#x}: have a model loaded there, by config.txt: initramfs model.onnx {address:#x}"
            ),
            Failure::NotFree { address, start, end } => {
                write!(
                    f,
                    "{address:#x} is no free memory, which goes from {start:#x} to {end:#x}: take another address."
                )
            }
            Failure::Damaged { model } => {
                write!(f, "`{model}` is not what was linked, by its checksum: write kernel8.img again.")
            }
            Failure::Refused { model, error } => write!(f, "`{model}`: {error}"),
            Failure::NoLabels { model } => {
                write!(f, "`{model}` has no labels to choose from: export it with --labels.")
            }
            Failure::Arena { model, part, needed, available } => write!(
                f,
                "`{model}` needs {} KiB of {part}, {} KiB are there: build with a larger ARENA_KIB.",
                needed.div_ceil(1024),
                available / 1024
            ),
        }
    }
}
