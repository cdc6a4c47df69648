//! The convolutions that make patches out of pixels.

use crate::{Error, Problem};

/// The most layers of a convolutional stem.
pub const MAX_STEM: usize = 5;

/// Longest side of a convolution's window, and its longest stride.
pub const MAX_WINDOW: usize = 8;

/// Widest layer of a stem.
const MAX_WIDTH: usize = 1 << 12;
/// Most values under a window: integer layers have a limit.
const MAX_VALUES: usize = 9 * MAX_WIDTH;

/// What each output of a convolution sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Cells along its height and width.
    pub side: usize,
    /// Cells from one output's window to the next one's.
    pub stride: usize,
    /// Zeros around the map, less than `side`.
    pub border: usize,
}

impl Window {
    /// 3×3 around every second cell: the stems of Xiao et al. (arXiv 2106.14881).
    pub const HALVING: Window = Window { side: 3, stride: 2, border: 1 };

    /// How many of them lie along `cells`.
    pub fn along(&self, cells: usize) -> usize {
        let bordered = cells.saturating_add(2 * self.border);
        bordered.checked_sub(self.side).map_or(0, |rest| rest / self.stride.max(1) + 1)
    }
}

/// A convolution with bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Channels that come out.
    pub outputs: usize,
    /// What they see.
    pub window: Window,
}

impl Convolution {
    /// One by [`Window::HALVING`].
    pub const fn halving(outputs: usize) -> Self {
        Convolution { outputs, window: Window::HALVING }
    }
}

/// Convolutions with exact GELU between them, the last one's outputs being the tokens. Without layers it stands for one linear embedding of
/// each patch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stem {
    widths: [u16; MAX_STEM],
    /// Side, stride and border.
    windows: [[u8; 3]; MAX_STEM],
    count: u8,
}

impl Stem {
    /// No layers: a patch embedding.
    pub const NONE: Stem = Stem { widths: [0; MAX_STEM], windows: [[0; 3]; MAX_STEM], count: 0 };

    /// A stem of these layers.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for more than [`MAX_STEM`] layers, or a width or a window beyond the runtime's limits.
    pub fn new(layers: &[Convolution]) -> Result<Self, Error> {
        let mut stem = Stem { count: layers.len().min(MAX_STEM) as u8, ..Stem::NONE };
        if layers.len() > MAX_STEM {
            return Err(Error::TooLarge);
        }
        for ((width, window), layer) in stem.widths.iter_mut().zip(&mut stem.windows).zip(layers) {
            let Window { side, stride, border } = layer.window;
            *width = u16::try_from(layer.outputs).map_err(|_| Error::TooLarge)?;
            for (to, from) in window.iter_mut().zip([side, stride, border]) {
                *to = u8::try_from(from).map_err(|_| Error::TooLarge)?;
            }
        }
        Ok(stem)
    }

    /// Whether there are no layers: a patch embedding.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many layers there are.
    pub fn len(&self) -> usize {
        if cfg!(feature = "mlip") { usize::from(self.count) } else { 0 }
    }

    /// The layers, first to last.
    pub fn convolutions(&self) -> impl Iterator<Item = Convolution> + Clone + use<> {
        self.widths.into_iter().zip(self.windows).take(self.len()).map(|(outputs, window)| {
            let [side, stride, border] = window.map(usize::from);
            Convolution { outputs: outputs.into(), window: Window { side, stride, border } }
        })
    }

    /// Input and output of each layer for images of this height and width.
    pub(super) fn layers(&self, image: [usize; 2]) -> impl Iterator<Item = StemLayer> + use<> {
        let mut layer = StemLayer { inputs: 0, outputs: 3, window: Window::HALVING, from: [0; 2], grid: image };
        self.convolutions().map(move |Convolution { outputs, window }| {
            let (inputs, from) = (layer.outputs, layer.grid);
            layer = StemLayer { inputs, outputs, window, from, grid: from.map(|side| window.along(side)) };
            layer
        })
    }

    /// Whether its layers make a grid of tokens of `width` out of an image.
    ///
    /// # Errors
    /// [`Error::Metadata`] if they do not, [`Error::TooLarge`] beyond a limit.
    pub(super) fn check(&self, image: [usize; 2], grid: [usize; 2], width: usize) -> Result<(), Error> {
        let (mut made, mut inside) = ([0; 2], true);
        for layer in self.layers(image) {
            let Window { side, stride, border } = layer.window;
            if layer.outputs == 0 || side == 0 || stride == 0 || border >= side || layer.grid.contains(&0) {
                return Err(Error::Metadata { key: "edgelip.stem", problem: Problem::Invalid });
            }
            let long = side.max(stride) > MAX_WINDOW;
            inside &= !long && layer.outputs <= MAX_WIDTH && layer.values() <= MAX_VALUES;
            made = layer.grid;
        }
        if made != grid || self.convolutions().last().map(|last| last.outputs) != Some(width) {
            return Err(Error::Metadata { key: "edgelip.stem", problem: Problem::Invalid });
        }
        if inside { Ok(()) } else { Err(Error::TooLarge) }
    }
}

/// One convolution of a stem and the maps it goes from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StemLayer {
    /// Channels that go in.
    pub inputs: usize,
    /// Channels that come out.
    pub outputs: usize,
    /// What each output sees.
    pub window: Window,
    /// Height and width of what goes in.
    pub from: [usize; 2],
    /// Height and width of what comes out.
    pub grid: [usize; 2],
}

impl StemLayer {
    /// Values under the window.
    pub fn values(&self) -> usize {
        self.window.side * self.window.side * self.inputs
    }

    /// Positions of the window.
    pub fn positions(&self) -> usize {
        self.grid[0] * self.grid[1]
    }
}
