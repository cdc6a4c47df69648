//! What keeps a camera from being watched.

use std::io;

use anyhow::Error;
use edgelip_runtime::Error as Refusal;

/// An error, with a title for a person in front of a screen.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong, in a few words.
    pub title: &'static str,
    pub error: Error,
}

impl Failure {
    /// No model was named.
    pub fn no_model() -> Self {
        let error = Error::msg("the model is missing: give --model, or put it into the profile");
        Failure { title: "Model missing", error }
    }

    /// A model, or its text tower, that can't be opened.
    pub fn model(error: impl Into<Error>) -> Self {
        let error = error.into();
        let title = error.chain().find_map(model_title).unwrap_or("Model refused");
        Failure { title, error }
    }

    /// Labels that can't be chosen from.
    pub fn labels(error: impl Into<Error>) -> Self {
        Failure { title: "No labels", error: error.into() }
    }

    /// A camera, or what stands in for one, that can't be opened or has no frames.
    pub fn no_camera(error: impl Into<Error>) -> Self {
        Failure { title: "No camera", error: error.into() }
    }

    /// A camera that had frames, and has none any more.
    pub fn camera_lost(error: impl Into<Error>) -> Self {
        Failure { title: "Camera lost", error: error.into() }
    }

    /// A frame that can't be labelled or shown.
    pub fn frame(error: impl Into<Error>) -> Self {
        Failure { title: "Stopped", error: error.into() }
    }
}

/// What one of an error's causes says about a model file.
fn model_title(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return Some(if error.kind() == io::ErrorKind::NotFound { "Model missing" } else { "Model unreadable" });
    }
    if let Some(edgelip::Error::Memory { .. }) = cause.downcast_ref() {
        return Some("Model too large");
    }
    let refusal = match cause.downcast_ref() {
        Some(edgelip::Error::Runtime(refusal)) => refusal,
        _ => cause.downcast_ref()?,
    };
    match refusal {
        Refusal::Truncated | Refusal::Malformed | Refusal::Metadata { .. } | Refusal::Tensor { .. } => {
            Some("Model damaged")
        }
        Refusal::TooLarge => Some("Model too large"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_title_tells_what_is_wrong_with_a_model() {
        let path = Path::new("birds.onnx");
        let io = |kind: io::ErrorKind| edgelip::Error::io(path)(kind.into());
        for (error, title) in [
            (io(io::ErrorKind::NotFound), "Model missing"),
            (io(io::ErrorKind::PermissionDenied), "Model unreadable"),
            (Refusal::Truncated.into(), "Model damaged"),
            (edgelip::Error::model(path)(Refusal::Malformed), "Model damaged"),
            (Refusal::TooLarge.into(), "Model too large"),
            (edgelip::Error::Memory { bytes: 1 << 40 }, "Model too large"),
            (Refusal::NotEdgelip.into(), "Model refused"),
            (edgelip::Error::Unusable("no labels".into()), "Model refused"),
        ] {
            let error = Error::from(error).context("birds.onnx");
            assert_eq!(Failure::model(error).title, title);
        }
    }
}
