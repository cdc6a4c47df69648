use core::fmt;

/// Operands whose lengths do not fit together; says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape(pub(crate) &'static str);

impl Shape {
    /// `Ok` if `holds`, else an error with this message.
    pub(crate) const fn require(holds: bool, message: &'static str) -> Result<(), Shape> {
        if holds { Ok(()) } else { Err(Shape(message)) }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for Shape {}
