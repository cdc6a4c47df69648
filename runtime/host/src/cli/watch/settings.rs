//! All that can be said on the command line or in a profile.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use edgelip::Error;
use edgelip::label_set::{self, DEFAULT_TEMPLATE, LabelSet};
use edgelip::templates;
use edgelip::threads::{MAX_THREADS, default_threads};
use edgelip_runtime::steady::Steady;
use serde::Deserialize;

use super::values::{Offset, RangeName, Rate, Share, Size};

/// Everything may be left out, so that a profile and the command line complete each other.
#[derive(Debug, Clone, Default, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// A camera device, a folder of photos, or - for frames of `rpicam-vid --codec yuv420` on standard input
    #[arg(value_name = "SOURCE")]
    pub source: Option<PathBuf>,

    /// The image tower
    #[arg(short, long, value_name = "FILE")]
    pub model: Option<PathBuf>,

    /// Labels to choose from instead of the model's own, between commas
    #[arg(long, value_name = "A,B,…")]
    pub labels: Option<String>,

    /// A file of such labels (one a line, CSV or JSON), or the known set imagenet
    #[arg(long, value_name = "FILE|SET", conflicts_with = "labels")]
    pub labels_file: Option<PathBuf>,

    /// The text tower that embeds them
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,

    /// A prompt in which {} stands for the label; may be given several times [default: "a photo of a {}."]
    #[arg(long, value_name = "PROMPT")]
    pub template: Vec<String>,

    /// Prompts from a file, one a line, or a known set: openai-80 (also imagenet-80), simple-7, photo, none
    #[arg(long, value_name = "FILE|SET", conflicts_with = "template")]
    pub templates: Option<String>,

    /// Threads of the model [default: the physical cores that may be used]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_THREADS as i64))]
    pub threads: Option<u16>,

    /// The camera's frames; needed for standard input [default for a camera device: 640x480]
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    pub size: Option<Size>,

    /// Bytes from row to row on standard input [default: the width rounded up to a multiple of 64, as rpicam-vid writes]
    #[arg(long, value_name = "BYTES")]
    pub stride: Option<usize>,

    /// The range of YUV bytes [default: full on standard input, limited for a camera device]
    #[arg(long, value_enum, value_name = "RANGE")]
    pub range: Option<RangeName>,

    /// Frames per second; a folder with it is played as if it were a camera
    #[arg(long, value_name = "N")]
    pub fps: Option<Rate>,

    /// Begin again after a folder's last photo
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub repeat: Option<bool>,

    /// Turn photos as their EXIF orientation says
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub exif: Option<bool>,

    /// End after so many frames
    #[arg(long, value_name = "N")]
    pub frames: Option<u64>,

    /// How many of the best labels to tell [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub top: Option<u32>,

    /// Smooth scores over about so many frames [default: 5, 1 for a folder of photos]
    #[arg(long, value_name = "FRAMES", value_parser = clap::value_parser!(u16).range(1..))]
    pub smooth: Option<u16>,

    /// How much better another label must be to take over, 0 to 1 [default: 0.05, 0 for a folder of photos]
    #[arg(long, value_name = "SCORE")]
    pub margin: Option<Share>,

    /// For how many frames in a row it must be better [default: 3, 1 for a folder of photos]
    #[arg(long, value_name = "FRAMES", value_parser = clap::value_parser!(u32).range(1..))]
    pub hold: Option<u32>,

    /// Show it on a screen: png:FILE, fb[:DEVICE], drm[:DEVICE], st7789[:DEVICE], ili9341[:DEVICE]; may be given several times
    #[arg(long, value_name = "SCREEN")]
    pub display: Vec<String>,

    /// For how many seconds an error stays on the screen before the program ends [default: 10]
    #[arg(long, value_name = "SECONDS")]
    pub notice: Option<u16>,

    /// Size of png pictures, and of a panel as it is mounted [default: 320x240]
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    pub display_size: Option<Size>,

    /// Show what the model sees, and over it which patches were merged: those of one colour share a token
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub show_merging: Option<bool>,

    /// GPIO line of a panel that tells commands from data [default: 25]
    #[arg(long, value_name = "LINE")]
    pub panel_dc: Option<u32>,

    /// GPIO line that resets the panel
    #[arg(long, value_name = "LINE")]
    pub panel_reset: Option<u32>,

    /// GPIO line of the panel's light
    #[arg(long, value_name = "LINE")]
    pub panel_light: Option<u32>,

    /// The device of these lines [default: /dev/gpiochip0]
    #[arg(long, value_name = "DEVICE")]
    pub panel_chip: Option<PathBuf>,

    /// Bus clock of the panel [default: 32000000]
    #[arg(long, value_name = "HERTZ")]
    pub panel_clock: Option<u32>,

    /// How far the picture is turned on the panel: 0, 90, 180 or 270 [default: 0]
    #[arg(long, value_name = "DEGREES")]
    pub panel_rotate: Option<u16>,

    /// Where the panel begins in its controller's memory [default: 0x0]
    #[arg(long, value_name = "XxY")]
    pub panel_offset: Option<Offset>,

    /// The panel shows the opposite of each colour otherwise
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub panel_invert: Option<bool>,

    /// Red and blue change places otherwise
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub panel_bgr: Option<bool>,

    /// Print a line of JSON for each frame: {time, frame, image, label, labels: [{label, score}], milliseconds, fps, dropped, temperature}
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub json: Option<bool>,
}

impl Settings {
    /// Reads a profile. Its paths are relative to its folder.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        let mut settings: Settings = toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            Error::malformed(path, format!("line {line}: {}", error.message().replace('\n', " ")))
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let Settings { source, model, labels_file, text, .. } = &mut settings;
        // A known set of labels lies in no folder.
        let labels_file = labels_file.as_mut().filter(|name| !LabelSet::is_known(name.as_path()));
        let [source, model, text] = [source, model, text].map(Option::as_mut);
        for path in [source, model, labels_file, text].into_iter().flatten().filter(|path| path.as_os_str() != "-") {
            *path = folder.join(&*path);
        }
        for display in &mut settings.display {
            if let Some(file) = display.strip_prefix("png:") {
                *display = format!("png:{}", folder.join(file).display());
            }
        }
        settings.check().map_err(|reason| Error::malformed(path, reason))?;
        Ok(settings)
    }

    /// What clap checks on the command line.
    fn check(&self) -> Result<(), String> {
        let zero = |name: &str, value: Option<u64>| {
            if value == Some(0) { Err(format!("{name} is at least 1")) } else { Ok(()) }
        };
        zero("threads", self.threads.map(u64::from))?;
        zero("top", self.top.map(u64::from))?;
        zero("smooth", self.smooth.map(u64::from))?;
        zero("hold", self.hold.map(u64::from))?;
        if usize::from(self.threads.unwrap_or(1)) > MAX_THREADS {
            return Err(format!("threads are at most {MAX_THREADS}"));
        }
        let both = [(self.labels.is_some() && self.labels_file.is_some(), "labels and labels-file")];
        let both =
            both.into_iter().chain([(!self.template.is_empty() && self.templates.is_some(), "template and templates")]);
        both.into_iter().find(|both| both.0).map_or(Ok(()), |both| Err(format!("{} contradict each other", both.1)))
    }

    /// These settings; what they leave open is as in `others`.
    pub fn or(self, others: Settings) -> Settings {
        // What belongs together is taken together.
        let own_labels = self.labels.is_some() || self.labels_file.is_some();
        let (labels, labels_file) =
            if own_labels { (self.labels, self.labels_file) } else { (others.labels, others.labels_file) };
        let own_templates = !self.template.is_empty() || self.templates.is_some();
        let (template, templates) =
            if own_templates { (self.template, self.templates) } else { (others.template, others.templates) };
        Settings {
            source: self.source.or(others.source),
            model: self.model.or(others.model),
            labels,
            labels_file,
            text: self.text.or(others.text),
            template,
            templates,
            threads: self.threads.or(others.threads),
            size: self.size.or(others.size),
            stride: self.stride.or(others.stride),
            range: self.range.or(others.range),
            fps: self.fps.or(others.fps),
            repeat: self.repeat.or(others.repeat),
            exif: self.exif.or(others.exif),
            frames: self.frames.or(others.frames),
            top: self.top.or(others.top),
            smooth: self.smooth.or(others.smooth),
            margin: self.margin.or(others.margin),
            hold: self.hold.or(others.hold),
            display: if self.display.is_empty() { others.display } else { self.display },
            notice: self.notice.or(others.notice),
            display_size: self.display_size.or(others.display_size),
            show_merging: self.show_merging.or(others.show_merging),
            panel_dc: self.panel_dc.or(others.panel_dc),
            panel_reset: self.panel_reset.or(others.panel_reset),
            panel_light: self.panel_light.or(others.panel_light),
            panel_chip: self.panel_chip.or(others.panel_chip),
            panel_clock: self.panel_clock.or(others.panel_clock),
            panel_rotate: self.panel_rotate.or(others.panel_rotate),
            panel_offset: self.panel_offset.or(others.panel_offset),
            panel_invert: self.panel_invert.or(others.panel_invert),
            panel_bgr: self.panel_bgr.or(others.panel_bgr),
            json: self.json.or(others.json),
        }
    }

    /// Labels to choose from, if they are not the model's own.
    pub fn label_set(&self) -> Result<Option<LabelSet>> {
        Ok(match (&self.labels, &self.labels_file) {
            (Some(list), _) => Some(LabelSet::from_list("labels", list)?),
            (None, Some(file)) => Some(LabelSet::resolve(file)?),
            (None, None) => None,
        })
    }

    /// Prompts around them.
    pub fn templates(&self) -> Result<Vec<String>> {
        Ok(match &self.templates {
            Some(name) => templates::resolve(name)?,
            None if self.template.is_empty() => vec![DEFAULT_TEMPLATE.to_string()],
            None => label_set::templates("template", &self.template)?,
        })
    }

    /// The number of threads.
    pub fn threads(&self) -> usize {
        self.threads.map_or_else(default_threads, usize::from)
    }

    /// How labels are kept from flickering: photos that are no film have nothing to do with each other.
    pub fn steady(&self) -> Steady {
        let film = self.fps.is_some() || !self.source.as_deref().is_some_and(Path::is_dir);
        let (smooth, margin, hold) = if film { (5, 0.05, 3) } else { (1, 0.0, 1) };
        let share = 2.0 / (f32::from(self.smooth.unwrap_or(smooth)) + 1.0);
        let margin = self.margin.map_or(margin, |margin| margin.0 as f32);
        Steady::new(share, margin, self.hold.unwrap_or(hold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(text: &str) -> Result<Settings, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board.toml");
        fs::write(&path, text).unwrap();
        let settings = Settings::read(&path);
        if let Ok(Settings { model: Some(model), .. }) = &settings {
            assert_eq!(model, &folder.path().join("birds.onnx"));
        }
        settings
    }

    #[test]
    fn a_known_set_of_labels_lies_in_no_folder() {
        let file = |text: &str| profile(text).unwrap().labels_file.unwrap();
        assert_eq!(file("labels-file = 'imagenet'"), Path::new("imagenet"));
        assert!(file("labels-file = './imagenet'").is_absolute() && file("labels-file = 'birds.txt'").is_absolute());
    }

    #[test]
    fn the_command_line_wins() {
        let text = "model = 'birds.onnx'\nsource = '-'\nsize = '640x480'\nlabels = 'cat,dog'\nhold = 7\nmargin = 0.5\nfps = 15\njson = true\ndisplay = ['fb']";
        let settings = profile(text).unwrap();
        assert_eq!(
            (settings.source.as_deref(), settings.fps, settings.json),
            (Some(Path::new("-")), Some(Rate(15.0)), Some(true))
        );
        let line =
            Settings { labels_file: Some("birds.txt".into()), hold: Some(1), json: Some(false), ..Settings::default() };
        let both = line.or(settings);
        assert_eq!((both.labels, both.labels_file, both.hold), (None, Some("birds.txt".into()), Some(1)));
        assert_eq!((both.size, both.json), (Some(Size { width: 640, height: 480 }), Some(false)));
        assert_eq!((both.margin, both.display), (Some(Share(0.5)), vec!["fb".to_string()]));
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (text, reason) in [
            ("top = 3\n\nmodle = 'a'", "line 3: unknown field `modle`"),
            ("size = '640'", "line 1: \"640\" is no size"),
            ("margin = 1.5", "from 0 to 1"),
            ("fps = 0", "a rate is"),
            ("range = 'video'", "unknown variant"),
            ("top = 0", "top is at least 1"),
            ("threads = 9999", "at most 256"),
            ("labels = 'a'\nlabels-file = 'b'", "contradict"),
            ("= 3", "line 1"),
        ] {
            let message = profile(text).unwrap_err().to_string();
            assert!(message.contains(reason) && message.contains("board.toml"), "{message}");
        }
    }

    #[test]
    fn the_shipped_profile_is_understood() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware-examples/linux-display/board.toml");
        let settings = Settings::read(&path).unwrap();
        assert_eq!((settings.panel_dc, settings.hold, settings.fps), (Some(25), Some(5), Some(Rate(15.0))));
    }

    #[test]
    fn photos_are_no_film() {
        let folder = tempfile::tempdir().unwrap();
        let photos = Settings { source: Some(folder.path().into()), ..Settings::default() };
        assert_eq!(photos.steady(), Steady::default());
        let film = Settings { fps: Some(Rate(10.0)), ..photos };
        assert_eq!((film.steady().frames, film.steady().margin), (3, 0.05));
        assert_eq!(Settings { smooth: Some(1), ..film }.steady().share, 1.0);
    }
}
