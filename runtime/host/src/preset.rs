//! Preprocessing of well-known model families, for files that do not say their own.

use edgelip_runtime::image::{Centre, Filter, Preprocess, Resize};

/// A family's preprocessing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// OpenAI's and OpenCLIP's: shortest side, centre crop, bicubic.
    Clip,
    /// SigLIP's: squashed, bicubic, pixels between -1 and 1.
    Siglip,
    /// CLIPA's: squashed, bilinear, ImageNet's mean and deviation.
    Clipa,
    /// MobileCLIP's: shortest side, centre crop, bilinear, pixels between 0 and 1.
    Mobileclip,
    /// corenet's, CatLIP's among them: as MobileCLIP's, but the crop's half pixels are rounded down.
    Corenet,
    /// Hugging Face's ViT and the Perception Encoder: squashed, bilinear, pixels between -1 and 1.
    Vit,
    /// torchvision's classifiers: shortest side 256/224 of the crop, bilinear, ImageNet's mean and deviation.
    Imagenet,
}

const CLIP: [[f32; 3]; 2] = [[0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_55, 0.261_302_6, 0.275_777_1]];
const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];
const HALF: [[f32; 3]; 2] = [[0.5; 3], [0.5; 3]];
const UNIT: [[f32; 3]; 2] = [[0.0; 3], [1.0; 3]];

impl Preset {
    /// All of them with their names.
    pub const ALL: [(&'static str, Preset); 7] = [
        ("clip", Preset::Clip),
        ("siglip", Preset::Siglip),
        ("clipa", Preset::Clipa),
        ("mobileclip", Preset::Mobileclip),
        ("corenet", Preset::Corenet),
        ("vit", Preset::Vit),
        ("imagenet", Preset::Imagenet),
    ];

    /// The preprocessing for a model whose input is `[height, width]`.
    pub fn preprocess(self, size: [usize; 2]) -> Preprocess {
        let [height, width] = size;
        let shortest = height.max(width);
        let (resize, crop, filter, [mean, std]) = match self {
            Preset::Clip => (Resize::Shortest(shortest), Some(size), Filter::Bicubic, CLIP),
            Preset::Siglip => (Resize::Exact(height, width), None, Filter::Bicubic, HALF),
            Preset::Clipa => (Resize::Exact(height, width), None, Filter::Bilinear, IMAGENET),
            Preset::Mobileclip | Preset::Corenet => (Resize::Shortest(shortest), Some(size), Filter::Bilinear, UNIT),
            Preset::Vit => (Resize::Exact(height, width), None, Filter::Bilinear, HALF),
            Preset::Imagenet => (Resize::Shortest(shortest * 256 / 224), Some(size), Filter::Bilinear, IMAGENET),
        };
        // The other families are trained on what torchvision makes of an image.
        let centre = if self == Preset::Corenet { Centre::Floor } else { Centre::Even };
        Preprocess { resize, filter, crop, centre, rescale: 1.0 / 255.0, mean, std }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_gives_the_size_asked_for() {
        for (name, preset) in Preset::ALL {
            let preprocess = preset.preprocess([224, 224]);
            assert_eq!(preprocess.output(333, 500).unwrap(), [224, 224], "{name}");
        }
        assert_eq!(Preset::Imagenet.preprocess([224, 224]).resize, Resize::Shortest(256));
    }
}
