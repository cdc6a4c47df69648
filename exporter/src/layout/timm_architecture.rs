//! timm's names of vision transformers: what they say of a tower and its tensors do not.

use crate::source::Activation;

/// What the tokens behind the blocks become, in timm's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pool {
    /// `token`: the class token.
    Token,
    /// `avg`: the mean of the patches.
    Mean,
    /// `map`: what a learned query reads.
    Map,
}

impl Pool {
    /// By timm's word.
    ///
    /// # Errors
    /// A sentence on what is not supported, and what is.
    pub(super) fn named(word: &str) -> Result<Pool, String> {
        match word {
            "token" => Ok(Pool::Token),
            "avg" => Ok(Pool::Mean),
            "map" => Ok(Pool::Map),
            other => Err(format!("`{other}` is not supported; token, avg and map are")),
        }
    }
}

/// An architecture whose arithmetic is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Architecture {
    /// Without the tag of the weights.
    pub(super) name: String,
    /// Width of a token.
    pub(super) width: usize,
    /// Attention heads.
    pub(super) heads: usize,
    /// Transformer blocks.
    pub(super) blocks: usize,
    /// What LayerNorms add to the variance.
    pub(super) norm_eps: f32,
    /// Of the MLPs.
    pub(super) activation: Activation,
    /// Unless a configuration says otherwise.
    pub(super) pool: Pool,
    /// The image tower of a CLIP, whose head may be a projection.
    pub(super) is_clip: bool,
    /// The image tower of a SigLIP.
    pub(super) is_siglip: bool,
    /// Whether convolutions make the patches, as in MobileCLIP-B.
    pub(super) has_stem: bool,
}

/// Width, heads and blocks.
const SIZES: [(&str, [usize; 3]); 12] = [
    ("tiny", [192, 3, 12]),
    ("xsmall", [256, 4, 10]),
    ("small", [384, 6, 12]),
    ("medium", [512, 8, 12]),
    ("betwixt", [640, 10, 12]),
    ("base", [768, 12, 12]),
    ("large", [1024, 16, 24]),
    ("so400m", [1152, 16, 27]),
    ("huge", [1280, 16, 32]),
    ("giant", [1408, 16, 40]),
    ("giantopt", [1536, 16, 40]),
    ("gigantic", [1664, 16, 48]),
];
const PLUS: [usize; 3] = [896, 14, 12];
const TEST: [usize; 3] = [64, 2, 6];

/// What may stand in a name beside family, size, patch and image.
const KINDS: [&str; 9] = ["clip", "quickgelu", "siglip", "gap", "plus", "dinov2", "miil", "36x1", "mci"];

impl Architecture {
    /// Reads a name such as `vit_base_patch16_clip_224`, with or without a tag behind a dot.
    ///
    /// # Errors
    /// A sentence on what is not supported, and what is.
    pub(super) fn named(name: &str) -> Result<Architecture, String> {
        let name = name.split('.').next().unwrap_or_default();
        let mut words = name.split('_');
        let family = words.next().unwrap_or_default();
        if name == "test_vit" {
            return Ok(Architecture::of(name, TEST, &[]));
        }
        let size = words.next().unwrap_or_default();
        let sizes = SIZES.iter().find(|(word, _)| *word == size).map(|(_, sizes)| *sizes);
        let (Some(mut sizes), true) = (sizes, ["vit", "deit", "deit3", "flexivit"].contains(&family)) else {
            return Err(format!("`{name}` is not supported; {}", supported()));
        };
        let words: Vec<&str> = words.collect();
        let is_size = |word: &str| {
            let digits = word.strip_prefix("patch").unwrap_or(word);
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        if let Some(word) = words.iter().find(|word| !is_size(word) && !KINDS.contains(word)) {
            return Err(format!("`{name}` is not supported, for its `{word}`; {}", supported()));
        }
        if words.contains(&"plus") {
            sizes = PLUS;
        }
        if words.contains(&"36x1") {
            sizes[2] = 36;
        }
        // As in I-JEPA, whose others have the usual heads.
        if name == "vit_base_patch16_gap_224" {
            sizes[1] = 16;
        }
        Ok(Architecture::of(name, sizes, &words))
    }

    fn of(name: &str, [width, heads, blocks]: [usize; 3], words: &[&str]) -> Architecture {
        let has = |word: &str| words.contains(&word);
        let (is_clip, is_siglip) = (has("clip"), has("siglip"));
        let by_tanh = is_siglip
            && (name.contains("_giantopt_") || name.contains("_base_patch32_") || name.contains("_so400m_patch16_"))
            || is_siglip && name.contains("_large_") && has("512");
        Architecture {
            name: name.into(),
            width,
            heads,
            blocks,
            norm_eps: if is_clip { 1e-5 } else { 1e-6 },
            activation: match (has("quickgelu"), by_tanh) {
                (true, _) => Activation::QuickGelu,
                (_, true) => Activation::TanhGelu,
                _ => Activation::Gelu,
            },
            pool: match (has("gap"), is_siglip) {
                (true, _) => Pool::Mean,
                (_, true) => Pool::Map,
                _ => Pool::Token,
            },
            is_clip: is_clip || has("mci"),
            is_siglip,
            has_stem: has("mci"),
        }
    }
}

fn supported() -> String {
    let sizes: Vec<&str> = SIZES.iter().map(|(size, _)| *size).collect();
    format!(
        "supported are timm's vit, deit, deit3 and flexivit of the sizes {} with patches, plain or as {}",
        sizes.join(", "),
        KINDS.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_tensors_do_not() {
        let of = |name: &str| {
            let found = Architecture::named(name).expect(name);
            (found.width, found.heads, found.blocks, found.norm_eps, found.activation.name(), found.pool)
        };
        assert_eq!(of("vit_tiny_patch16_224.augreg_in21k"), (192, 3, 12, 1e-6, "gelu", Pool::Token));
        assert_eq!(of("deit3_small_patch16_384"), (384, 6, 12, 1e-6, "gelu", Pool::Token));
        assert_eq!(of("flexivit_large"), (1024, 16, 24, 1e-6, "gelu", Pool::Token));
        assert_eq!(of("vit_base_patch16_plus_clip_240"), (896, 14, 12, 1e-5, "gelu", Pool::Token));
        assert_eq!(of("vit_huge_patch14_clip_quickgelu_378"), (1280, 16, 32, 1e-5, "quick_gelu", Pool::Token));
        assert_eq!(of("vit_base_patch16_siglip_384"), (768, 12, 12, 1e-6, "gelu", Pool::Map));
        assert_eq!(of("vit_large_patch16_siglip_512"), (1024, 16, 24, 1e-6, "gelu_tanh", Pool::Map));
        assert_eq!(of("vit_so400m_patch14_siglip_gap_384"), (1152, 16, 27, 1e-6, "gelu", Pool::Mean));
        assert_eq!(of("vit_so400m_patch16_siglip_gap_256").4, "gelu_tanh");
        assert_eq!(of("vit_base_patch32_siglip_256").4, "gelu_tanh");
        assert_eq!(of("vit_base_patch16_gap_224").1, 16);
        assert_eq!(of("vit_small_patch16_36x1_224").2, 36);
    }

    #[test]
    fn what_computes_otherwise_is_refused() {
        for (name, word) in [
            ("vit_base_patch16_rpn_224", "`rpn`"),
            ("vit_base_patch14_reg4_dinov2", "`reg4`"),
            ("vit_base_r50_s16_224", "`r50`"),
            ("deit_tiny_distilled_patch16_224", "`distilled`"),
            ("vit_relpos_base_patch16_224", "`vit_relpos"),
            // It has no norm behind its blocks.
            ("vit_intern300m_patch14_448", "`vit_intern300m"),
            ("eva02_base_patch14_224", "`eva02"),
            ("convnext_base", "`convnext_base`"),
            ("", "supported are"),
        ] {
            let said = Architecture::named(name).expect_err(name);
            assert!(said.contains(word), "{said}");
        }
    }
}
