//! Arrays as NumPy files.

use std::path::Path;

use ndarray::{ArrayViewD, IxDyn};
use ndarray_npy::{WritableElement, WriteNpyExt};

use crate::Error;
use crate::output::Output;

/// Writes `values` as an array of `shape`, whole or not at all.
///
/// # Errors
/// [`Error::Malformed`] if the file exists and is not to be replaced, or the shape does not fit the values; [`Error::Io`].
pub fn write<T: WritableElement>(path: &Path, replace: bool, shape: &[usize], values: &[T]) -> Result<(), Error> {
    let array = ArrayViewD::from_shape(IxDyn(shape), values).map_err(|error| Error::malformed(path, error))?;
    let mut output = Output::create(path, replace)?;
    array.write_npy(&mut output).map_err(|error| Error::malformed(path, error))?;
    output.commit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use ndarray_npy::ReadNpyExt;
    use std::fs::File;

    #[test]
    fn what_is_written_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        write(&path, false, &[2, 3], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let array = Array2::<f32>::read_npy(File::open(&path).unwrap()).unwrap();
        assert_eq!(array[[1, 0]], 4.0);
        assert!(write(&path, false, &[1], &[1_u8]).unwrap_err().to_string().contains("--force"));
        assert!(write(&path, true, &[2], &[1_u8]).is_err());
    }
}
