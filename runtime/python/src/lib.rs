//! edgelip's Python module: a thin skin around the library.

mod error;
mod image;
mod model;

use pyo3::prelude::*;

/// Zero-shot image labelling: model files executed in place.
#[pymodule]
mod edgelip {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::error::Error;
    #[pymodule_export]
    use crate::model::Model;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
