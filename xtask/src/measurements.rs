//! `docs/measurements.md`: sections that commands write, each between two marks, the rest left alone.

use std::fs;
use std::io;
use std::path::Path;

/// Puts `text` in the place of what stands between the marks of this section; at the end if there is none yet.
pub fn put(root: &Path, section: &str, text: &str) -> io::Result<()> {
    let path = root.join("docs/measurements.md");
    let old = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => "# Measurements\n".to_owned(),
        read => read?,
    };
    fs::write(path, replaced(&old, section, text))
}

fn replaced(old: &str, section: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- {section} begins -->"), format!("<!-- {section} ends -->"));
    let new = format!("{begin}\n{}\n{end}", text.trim());
    let place = old.find(&begin).zip(old.find(&end)).filter(|(begin, end)| begin < end);
    match place {
        Some((from, to)) => format!("{}{new}{}", &old[..from], &old[to + end.len()..]),
        None => format!("{}\n\n{new}\n", old.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_rest_stays() {
        let first = replaced("# M\n", "chaos", "one");
        assert_eq!(first, "# M\n\n<!-- chaos begins -->\none\n<!-- chaos ends -->\n");
        let both = replaced(&first, "bench", "figures");
        let again = replaced(&both, "chaos", "two");
        assert_eq!(again, both.replace("one", "two"));
    }
}
