//! onnxruntime on a file's graph. Its library is the user's own, loaded when it is first needed: a Jetson's has its GPU.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs, path};

use edgelip_runtime::Padding;
use edgelip_runtime::image::Preprocess;
use ort::environment::Environment;
use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};
use ort::logging::LogLevel;
use ort::session::Session;
use ort::value::{TensorElementType, TensorRef, ValueType};

use super::graph::{self, Kind, Port, TEXT_INPUTS};
use super::{ImageEngine, Output, Provider, TextEngine, check_finite};
use crate::{Error, guard};

/// The variable that names the library where nothing else does.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// onnxruntime, once loaded: a process can have one.
static LOADED: OnceLock<Result<Loaded, String>> = OnceLock::new();

struct Loaded {
    environment: Environment,
    path: PathBuf,
}

/// Loads onnxruntime's library from `path`, a file or the folder that it lies in; or else from where the variable `ORT_DYLIB_PATH` says,
/// or from where the system finds it by its usual name. What is loaded already stays.
///
/// # Errors
/// [`Error::Ort`].
pub fn load(path: Option<&Path>) -> Result<(), Error> {
    loaded(path).map(drop)
}

fn loaded(path: Option<&Path>) -> Result<&'static Loaded, Error> {
    let first = || guard::guarded(|| open(path));
    LOADED.get_or_init(first).as_ref().map_err(|reason| Error::Ort(reason.clone()))
}

fn open(path: Option<&Path>) -> Result<Loaded, String> {
    let variable = env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    let given = path.map(Path::to_path_buf).or(variable);
    let usual = PathBuf::from(format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}"));
    let candidates = match &given {
        Some(given) => vec![named(given)?],
        // Where only the package for running is installed, the name without a version is missing.
        None => vec![usual.clone(), format!("{}.1", usual.display()).into()],
    };
    let mut reasons = Vec::new();
    for path in candidates {
        match ort::init_from(&path) {
            Ok(builder) => {
                let environment = builder.with_telemetry(false).build().map_err(|error| error.to_string())?;
                environment.set_log_level(LogLevel::Fatal);
                return Ok(Loaded { environment, path });
            }
            Err(reason) => reasons.push(reason.to_string()),
        }
    }
    let reason = reasons.first().map_or("", String::as_str);
    Err(match given {
        Some(_) => reason.to_string(),
        None => format!(
            "{reason}; install it (pip install onnxruntime has it), and say where by --onnxruntime or {VARIABLE}"
        ),
    })
}

/// The library that a path means.
fn named(path: &Path) -> Result<PathBuf, String> {
    let path = path::absolute(path).map_err(|error| error.to_string())?;
    if !path.is_dir() {
        return Ok(path);
    }
    let entries = fs::read_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let prefix = format!("{DLL_PREFIX}onnxruntime.");
    let is_library = |name: &str| name.starts_with(&prefix) && name.contains(DLL_SUFFIX);
    let mut found: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_library));
    found.sort();
    found.into_iter().next().ok_or_else(|| format!("{}: has no {DLL_PREFIX}onnxruntime{DLL_SUFFIX}", path.display()))
}

/// Whether the loaded library has a provider.
fn has(provider: Provider) -> bool {
    let is_available = match provider {
        Provider::Cpu => return true,
        Provider::Cuda => ep::CUDA::is_available,
        Provider::TensorRt => ep::TensorRT::is_available,
        Provider::Xnnpack => ep::XNNPACK::is_available,
        Provider::Acl => ep::ACL::is_available,
        Provider::OpenVino => ep::OpenVINO::is_available,
        Provider::MiGraphX => ep::MIGraphX::is_available,
        Provider::Qnn => ep::QNN::is_available,
        Provider::Nnapi => ep::NNAPI::is_available,
        Provider::CoreMl => ep::CoreML::is_available,
        Provider::DirectMl => ep::DirectML::is_available,
    };
    is_available().unwrap_or(false)
}

/// What to register for a provider; what it does not take falls to the CPU.
fn registrations(provider: Provider, threads: usize) -> Vec<ExecutionProviderDispatch> {
    let all = match provider {
        Provider::Cpu => Vec::new(),
        Provider::Cuda => vec![ep::CUDA::default().build()],
        Provider::TensorRt if has(Provider::Cuda) => vec![ep::TensorRT::default().build(), ep::CUDA::default().build()],
        Provider::TensorRt => vec![ep::TensorRT::default().build()],
        Provider::Xnnpack => {
            let threads = threads.try_into().unwrap_or(std::num::NonZeroUsize::MIN);
            vec![ep::XNNPACK::default().with_intra_op_num_threads(threads).build()]
        }
        Provider::Acl => vec![ep::ACL::default().build()],
        Provider::OpenVino => vec![ep::OpenVINO::default().build()],
        Provider::MiGraphX => vec![ep::MIGraphX::default().build()],
        Provider::Qnn => vec![ep::QNN::default().build()],
        Provider::Nnapi => vec![ep::NNAPI::default().build()],
        Provider::CoreMl => vec![ep::CoreML::default().build()],
        Provider::DirectMl => vec![ep::DirectML::default().build()],
    };
    all.into_iter().map(ExecutionProviderDispatch::error_on_failure).collect()
}

/// A graph that onnxruntime has loaded.
pub struct Graph {
    session: Session,
}

impl Graph {
    /// Loads a file's graph. External data is looked for beside `path`.
    ///
    /// # Errors
    /// [`Error::Ort`] if there is no onnxruntime, it lacks the provider, or refuses the graph.
    pub fn read(bytes: &[u8], path: &Path, provider: Provider, threads: usize) -> Result<Self, Error> {
        // The in-place reader walks the same bytes with bounded work; what it refuses is not worth decoding.
        edgelip_runtime::onnx::File::parse(bytes)?;
        let loaded = loaded(None)?;
        if !guarded(|| Ok(has(provider)))? {
            let there: Vec<_> = Provider::ALL.iter().filter(|other| has(other.1)).map(|other| other.0).collect();
            let path = loaded.path.display();
            return Err(Error::Ort(format!("{path} has no provider `{provider}`; it has {}", there.join(", "))));
        }
        let session = guarded(|| {
            // XNNPACK has threads of its own, which the session's would only disturb.
            let own = if provider == Provider::Xnnpack { 1 } else { threads };
            let mut builder = Session::builder(&loaded.environment)?
                .with_intra_threads(own)?
                .with_inter_threads(1)?
                .with_execution_providers(registrations(provider, threads))?;
            if path.is_file() { builder.commit_from_file(path) } else { builder.commit_from_memory(bytes) }
        })?;
        Ok(Graph { session })
    }

    /// The inputs that are no constants.
    pub fn inputs(&self) -> Vec<Port> {
        self.session.inputs().iter().map(|input| port(input.name(), input.dtype())).collect()
    }

    /// The outputs.
    pub fn outputs(&self) -> Vec<Port> {
        self.session.outputs().iter().map(|output| port(output.name(), output.dtype())).collect()
    }
}

fn port(name: &str, kind: &ValueType) -> Port {
    let (element, dims) = match kind {
        ValueType::Tensor { ty, shape, .. } => {
            let element = if *ty == TensorElementType::Float32 { graph::F32 } else { 0 };
            (element, shape.iter().map(|&dim| usize::try_from(dim).ok()).collect())
        }
        _ => (0, Vec::new()),
    };
    Port { name: name.into(), element, dims }
}

/// An output's name and its latest values.
type Slot = (String, Vec<f32>);

/// An image tower that onnxruntime runs.
pub struct OrtImage {
    session: Session,
    input: String,
    preprocess: Preprocess,
    shape: [usize; 4],
    image: Vec<f32>,
    embedding: Option<Slot>,
    logits: Option<Slot>,
}

impl OrtImage {
    /// Takes images of `[height, width]`, whose pixels are normalised as `preprocess` says.
    ///
    /// # Errors
    /// [`Error::Unusable`] if the graph takes no image, or gives neither an embedding nor logits.
    pub fn new(graph: Graph, size: [usize; 2], preprocess: Preprocess) -> Result<Self, Error> {
        let input = graph::image_input(&graph.inputs())?.name.clone();
        let outputs = graph::choose(&graph.outputs())?;
        let slot = |kind| {
            let output = outputs.iter().find(|output| output.1 == kind || output.1 == Kind::Either)?;
            Some((output.0.clone(), Vec::new()))
        };
        let (embedding, logits) = (slot(Kind::Embedding), slot(Kind::Logits));
        let shape = [1, 3, size[0], size[1]];
        let image = super::buffer(shape.iter().product())?;
        Ok(OrtImage { session: graph.session, input, preprocess, shape, image, embedding, logits })
    }
}

impl ImageEngine for OrtImage {
    fn run(&mut self, pixels: &[u8]) -> Result<Output<'_>, Error> {
        let OrtImage { session, input, preprocess, shape, image, embedding, logits } = self;
        preprocess.normalize(pixels, image)?;
        guarded(|| {
            let image = TensorRef::from_array_view((*shape, image.as_slice()))?;
            let outputs = session.run(ort::inputs![input.as_str() => image])?;
            for (name, values) in [&mut *embedding, &mut *logits].into_iter().flatten() {
                floats(&outputs, name, values)?;
            }
            Ok(())
        })?;
        for (_, values) in [&*embedding, &*logits].into_iter().flatten() {
            check_finite(values)?;
        }
        if let Some((_, embedding)) = embedding {
            graph::normalise(embedding);
        }
        Ok(Output { embedding: values(embedding), logits: values(logits) })
    }

    fn scratch_bytes(&self) -> Option<usize> {
        None
    }
}

/// A text tower that onnxruntime runs: always on the whole context, as accelerators prepare themselves for every shape anew.
pub struct OrtText {
    session: Session,
    context: usize,
    padding: Option<Padding>,
    embedding: Vec<f32>,
}

impl OrtText {
    /// Takes an edgelip text tower's graph.
    ///
    /// # Errors
    /// [`Error::Unusable`] if its inputs are others than the format says.
    pub fn new(graph: Graph, context: usize, padding: Option<Padding>) -> Result<Self, Error> {
        let names: Vec<String> = graph.inputs().into_iter().map(|input| input.name).collect();
        if names.len() != TEXT_INPUTS.len() || !TEXT_INPUTS.iter().all(|name| names.iter().any(|other| other == name)) {
            return Err(Error::Unusable(format!("the graph's inputs are no text tower's: {}", names.join(", "))));
        }
        Ok(OrtText { session: graph.session, context, padding, embedding: Vec::new() })
    }
}

impl TextEngine for OrtText {
    fn run(&mut self, ids: &[u32]) -> Result<&[f32], Error> {
        let [ids, mask] = graph::text_inputs(ids, self.context, self.padding)?;
        let shape = [1, self.context];
        guarded(|| {
            let ids = TensorRef::from_array_view((shape, ids.as_slice()))?;
            let mask = TensorRef::from_array_view((shape, mask.as_slice()))?;
            let outputs = self.session.run(ort::inputs![TEXT_INPUTS[0] => ids, TEXT_INPUTS[1] => mask])?;
            floats(&outputs, "text_embeds", &mut self.embedding)
        })?;
        check_finite(&self.embedding)?;
        graph::normalise(&mut self.embedding);
        Ok(&self.embedding)
    }

    fn scratch_bytes(&self) -> Option<usize> {
        None
    }
}

fn values(slot: &Option<Slot>) -> Option<&[f32]> {
    slot.as_ref().map(|slot| slot.1.as_slice())
}

fn floats(outputs: &ort::session::SessionOutputs<'_>, name: &str, values: &mut Vec<f32>) -> ort::Result<()> {
    let output = outputs.get(name).ok_or_else(|| ort::Error::new(format!("the graph gives no `{name}`")))?;
    let (_, given) = output.try_extract_tensor::<f32>()?;
    values.clear();
    values.extend_from_slice(given);
    Ok(())
}

/// Calls onnxruntime, whose panics are errors like its others.
fn guarded<T>(work: impl FnOnce() -> ort::Result<T>) -> Result<T, Error> {
    guard::guarded(work).map_err(Error::Ort)
}
