//! Colours: light, dark, and an accent that stays readable on either.

use std::str::FromStr;

const STYLESHEET: &str = include_str!("style.css");

const LIGHT: &str = "color-scheme:light;--page:#f5f6f8;--card:#fff;--text:#16191f;--muted:#565d69;--line:#e1e4e9;\
    --edge:#858c98;--field:#fff;--hover:#f0f2f5;--bad:#b3261e;--bad-soft:#fdf0ef;--good:#146c43;--good-soft:#edf7f1;\
    --info:#33507e;--info-soft:#eff4fb;--shadow:0 1px 2px rgb(16 24 40/.05),0 12px 32px -12px rgb(16 24 40/.14);";
const DARK: &str = "color-scheme:dark;--page:#0d0f13;--card:#15181e;--text:#e9ebef;--muted:#a3aab6;--line:#272c35;\
    --edge:#6e7684;--field:#101318;--hover:#1f242c;--bad:#ff9b92;--bad-soft:#2b1715;--good:#7bd3a2;--good-soft:#11251b;\
    --info:#a9c4f5;--info-soft:#141f31;--shadow:0 1px 2px rgb(0 0 0/.4),0 12px 32px -12px rgb(0 0 0/.6);";
const LIGHT_CARD: [u8; 3] = [0xff, 0xff, 0xff];
const DARK_CARD: [u8; 3] = [0x15, 0x18, 0x1e];

/// The contrast WCAG 2 asks of text at level AA.
const READABLE: f64 = 4.5;

/// How the pages are coloured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Theme {
    pub scheme: Scheme,
    pub accent: Accent,
}

/// Light, dark, or what the visitor's system says (the default).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scheme {
    #[default]
    Auto,
    Dark,
    Light,
}

/// The colour of buttons and links, written `#rrggbb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accent([u8; 3]);

/// Not a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a colour is written #rrggbb")]
pub struct BadAccent;

impl Default for Accent {
    fn default() -> Self {
        Self([0x3b, 0x4f, 0xd8])
    }
}

impl FromStr for Accent {
    type Err = BadAccent;

    fn from_str(text: &str) -> Result<Self, BadAccent> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6).ok_or(BadAccent)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(BadAccent);
        }
        let number = u32::from_str_radix(digits, 16).map_err(|_| BadAccent)?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self([red, green, blue]))
    }
}

/// The whole style sheet for a theme.
pub(super) fn stylesheet(theme: &Theme) -> String {
    let light = format!(":root{{{LIGHT}{}}}", accent(theme.accent, LIGHT_CARD));
    let dark = format!(":root{{{DARK}{}}}", accent(theme.accent, DARK_CARD));
    let colours = match theme.scheme {
        Scheme::Auto => format!("{light}@media(prefers-color-scheme:dark){{{dark}}}"),
        Scheme::Dark => dark,
        Scheme::Light => light,
    };
    format!("{colours}\n{STYLESHEET}")
}

/// `--accent` for surfaces with `--on-accent` for the text on them, and `--link` for accent text on a card.
fn accent(Accent(colour): Accent, card: [u8; 3]) -> String {
    let link = readable(colour, card);
    let ink = if contrast(colour, [0xff; 3]) >= READABLE { [0xff; 3] } else { [0; 3] };
    format!("--accent:{};--on-accent:{};--link:{};", hex(colour), hex(ink), hex(link))
}

/// The colour nearest to `colour` that can be read on `ground`.
fn readable(colour: [u8; 3], ground: [u8; 3]) -> [u8; 3] {
    let end = if luminance(ground) > 0.5 { 0.0 } else { 255.0 };
    (0..=20)
        .map(|step| {
            let share = f64::from(step) / 20.0;
            colour.map(|part| (f64::from(part) * (1.0 - share) + end * share).round() as u8)
        })
        .find(|colour| contrast(*colour, ground) >= READABLE)
        .unwrap_or([end as u8; 3])
}

fn hex([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Contrast ratio of WCAG 2, from 1 to 21.
fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// Relative luminance of WCAG 2, from 0 to 1.
fn luminance(colour: [u8; 3]) -> f64 {
    let [red, green, blue] = colour.map(|part| {
        let part = f64::from(part) / 255.0;
        if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a custom property, as a colour.
    fn colour(css: &str, name: &str) -> [u8; 3] {
        let start = css.find(&format!("--{name}:#")).expect("a colour of that name") + name.len() + 4;
        let digits: String = css[start..].chars().take_while(char::is_ascii_hexdigit).collect();
        let long = if digits.len() == 3 { digits.chars().flat_map(|digit| [digit, digit]).collect() } else { digits };
        format!("#{long}").parse::<Accent>().unwrap().0
    }

    #[test]
    fn every_accent_can_be_read_on_every_card() {
        for text in ["#000000", "#ffffff", "#ffff00", "#3b4fd8", "#808080", "#ff0000", "#00ff88"] {
            let chosen: Accent = text.parse().unwrap();
            for card in [LIGHT_CARD, DARK_CARD] {
                let css = accent(chosen, card);
                assert!(contrast(colour(&css, "link"), card) >= READABLE, "{text} on {card:?}");
                assert!(contrast(colour(&css, "on-accent"), colour(&css, "accent")) >= READABLE, "{text}");
            }
        }
    }

    #[test]
    fn text_and_controls_meet_level_aa_in_both_schemes() {
        for css in [LIGHT, DARK] {
            for (ink, ground) in [
                ("text", "card"),
                ("text", "page"),
                ("text", "field"),
                ("text", "hover"),
                ("muted", "card"),
                ("muted", "page"),
                ("bad", "card"),
                ("bad", "bad-soft"),
                ("good", "good-soft"),
                ("info", "info-soft"),
            ] {
                let ratio = contrast(colour(css, ink), colour(css, ground));
                assert!(ratio >= READABLE, "{ink} on {ground}: {ratio:.2}");
            }
            assert!(contrast(colour(css, "edge"), colour(css, "card")) >= 3.0, "the edge of a field can be seen");
        }
    }

    #[test]
    fn only_six_digits_make_a_colour() {
        for text in ["", "#fff", "red", "#12345g", "#1234567", "#+12345", "123456"] {
            assert_eq!(text.parse::<Accent>(), Err(BadAccent), "{text}");
        }
    }
}
