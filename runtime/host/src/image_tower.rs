//! From a decoded image to its embedding: preprocessing and an engine with all their buffers.

use std::path::Path;

use edgelip_runtime::Vision;
use edgelip_runtime::image::{Preprocess, Rgb};

use crate::Error;
use crate::engine::native::{self, NativeImage};
use crate::engine::{Engine, ImageEngine, Output, Provider, grow};
use crate::preset::Preset;

/// How to open a model.
#[derive(Debug, Clone)]
pub struct Options {
    /// What runs it.
    pub engine: Engine,
    /// Threads for the native engine and for onnxruntime.
    pub threads: usize,
    /// Preprocessing for a file without edgelip's metadata.
    pub preset: Option<Preset>,
    /// Height and width for a file that leaves them open.
    pub image_size: Option<[usize; 2]>,
}

impl Default for Options {
    fn default() -> Self {
        let threads = crate::threads::default_threads();
        Options { engine: Engine::Native, threads, preset: None, image_size: None }
    }
}

/// An image tower, ready to run.
pub struct ImageTower<'a> {
    vision: Option<Vision<'a>>,
    engine: Box<dyn ImageEngine + 'a>,
    preprocess: Preprocess,
    size: [usize; 2],
    pixels: Vec<u8>,
    scratch: Vec<f32>,
}

/// What the runtime makes of a file.
type Opened<'a> = Result<Vision<'a>, edgelip_runtime::Error>;

impl<'a> ImageTower<'a> {
    /// Opens a model file's bytes, aligned as a [`Mapping`](crate::Mapping) is. `path` says where external data of a foreign file lies.
    ///
    /// # Errors
    /// What the file lacks for the engine, or options that do not fit it.
    pub fn open(bytes: &'a [u8], path: &Path, options: &Options) -> Result<Self, Error> {
        let vision = Vision::open(bytes, native::kernels());
        if vision.is_ok() && (options.preset.is_some() || options.image_size.is_some()) {
            return Err(Error::Unusable(
                "the file has its own preprocessing; --preprocess and --image-size are for files without".into(),
            ));
        }
        match (options.engine, vision) {
            (Engine::Native, Ok(vision)) => {
                let (preprocess, size) = (*vision.preprocess(), vision.shape().image);
                let engine = Box::new(NativeImage::new(vision.clone(), options.threads)?);
                Ok(Self::new(Some(vision), engine, preprocess, size))
            }
            (Engine::Native, Err(error)) => Err(error.into()),
            (Engine::Tract, vision) => Self::open_tract(bytes, path, vision, options),
            (Engine::Ort(provider), vision) => Self::open_ort(bytes, path, vision, options, provider),
        }
    }

    #[cfg(feature = "tract")]
    fn open_tract(bytes: &'a [u8], path: &Path, vision: Opened<'a>, options: &Options) -> Result<Self, Error> {
        use crate::engine::tract::{Graph, TractImage};
        let graph = Graph::read(bytes, path)?;
        let (vision, preprocess, size) = settings(vision, &graph.inputs(), options)?;
        let engine = Box::new(TractImage::new(graph, size, preprocess)?);
        Ok(Self::new(vision, engine, preprocess, size))
    }

    #[cfg(not(feature = "tract"))]
    fn open_tract(_: &'a [u8], _: &Path, _: Opened<'a>, _: &Options) -> Result<Self, Error> {
        Err(Error::NoTract)
    }

    #[cfg(feature = "ort")]
    fn open_ort(
        bytes: &'a [u8],
        path: &Path,
        vision: Opened<'a>,
        options: &Options,
        provider: Provider,
    ) -> Result<Self, Error> {
        use crate::engine::ort::{Graph, OrtImage};
        let graph = Graph::read(bytes, path, provider, options.threads)?;
        let (vision, preprocess, size) = settings(vision, &graph.inputs(), options)?;
        let engine = Box::new(OrtImage::new(graph, size, preprocess)?);
        Ok(Self::new(vision, engine, preprocess, size))
    }

    #[cfg(not(feature = "ort"))]
    fn open_ort(_: &'a [u8], _: &Path, _: Opened<'a>, _: &Options, _: Provider) -> Result<Self, Error> {
        Err(Error::NoOrt)
    }

    fn new(
        vision: Option<Vision<'a>>,
        engine: Box<dyn ImageEngine + 'a>,
        preprocess: Preprocess,
        size: [usize; 2],
    ) -> Self {
        let pixels = vec![0; size[0] * size[1] * 3];
        ImageTower { vision, engine, preprocess, size, pixels, scratch: Vec::new() }
    }

    /// Makes room for images up to this size, so that [`ImageTower::load`] allocates nothing for them.
    ///
    /// # Errors
    /// [`Error::Runtime`] if such an image can't be preprocessed, or [`Error::Memory`].
    pub fn reserve(&mut self, height: usize, width: usize) -> Result<(), Error> {
        grow(&mut self.scratch, self.preprocess.scratch_len(height, width)?)
    }

    /// Resizes and crops an image into [`ImageTower::pixels`].
    ///
    /// # Errors
    /// [`Error::Runtime`] if the image is empty or too large.
    pub fn load(&mut self, image: Rgb<'_>) -> Result<(), Error> {
        if self.preprocess.output(image.height, image.width)? != self.size {
            let [height, width] = self.size;
            return Err(Error::Unusable(format!(
                "the model takes {height}x{width} pixels and does not resize; this image has {}x{}",
                image.height, image.width
            )));
        }
        self.reserve(image.height, image.width)?;
        self.preprocess.apply(&native::kernels(), image, &mut self.scratch, &mut self.pixels)?;
        Ok(())
    }

    /// Runs the tower on the loaded pixels.
    ///
    /// # Errors
    /// [`Error::Runtime`], [`Error::Tract`] or [`Error::Ort`].
    pub fn run(&mut self) -> Result<Output<'_>, Error> {
        self.engine.run(&self.pixels)
    }

    /// Lets later runs remember which patches end in which token. Results stay the same to the last bit.
    pub fn trace(&mut self) {
        self.engine.trace();
    }

    /// For each patch in raster order the token that it ended in, as [`Vision::embed_traced`] counts them; `None` before [`ImageTower::trace`]
    /// or if the engine can't tell.
    pub fn tokens(&self) -> Option<&[u16]> {
        self.engine.tokens()
    }

    /// The loaded pixels `[H, W, 3]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The pixels, to be filled by the caller instead of [`ImageTower::load`].
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// Height and width of the input.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// How an image becomes the input.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// The tower as the runtime sees it; `None` for foreign files.
    pub fn vision(&self) -> Option<&Vision<'a>> {
        self.vision.as_ref()
    }

    /// Bytes of work space that are allocated, if the engine knows.
    pub fn scratch_bytes(&self) -> Option<usize> {
        self.engine.scratch_bytes()
    }
}

/// What a graph is fed with: as the file says, or else as the options do.
#[cfg(any(feature = "ort", feature = "tract"))]
#[allow(clippy::type_complexity)]
fn settings<'a>(
    vision: Opened<'a>,
    inputs: &[crate::engine::graph::Port],
    options: &Options,
) -> Result<(Option<Vision<'a>>, Preprocess, [usize; 2]), Error> {
    use crate::engine::graph::{image_input, image_size};
    let (vision, preset) = match (vision, options.preset) {
        (Ok(vision), _) => (Some(vision), None),
        (Err(_), Some(preset)) => (None, Some(preset)),
        (Err(edgelip_runtime::Error::NotEdgelip), None) => {
            let names: Vec<_> = Preset::ALL.iter().map(|preset| preset.0).collect();
            return Err(Error::Unusable(format!(
                "the file does not say how its images are preprocessed; give --preprocess {}",
                names.join("|")
            )));
        }
        (Err(error), None) => return Err(error.into()),
    };
    let wanted = vision.as_ref().map(|vision| vision.shape().image).or(options.image_size);
    let size = image_size(image_input(inputs)?, wanted)?;
    let preprocess = match (&vision, preset) {
        (Some(vision), _) => *vision.preprocess(),
        (None, preset) => preset.unwrap_or(Preset::Clip).preprocess(size),
    };
    Ok((vision, preprocess, size))
}
