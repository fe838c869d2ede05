//! Did you mean: the known word that is nearest to an unknown one.

/// The nearest of `known` within a third of the word's length, one letter at least.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    const LONGEST: usize = 40;
    let word = plain(word);
    if word.len() > LONGEST {
        return None;
    }
    let allowed = (word.len() / 3).max(1);
    known
        .iter()
        .map(|candidate| (distance(&word, &plain(candidate)), *candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Case and the kind of hyphen are what people get wrong first; they cost nothing.
fn plain(word: &str) -> Vec<char> {
    word.to_lowercase().replace('-', "_").chars().collect()
}

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_a_stranger_finds_none() {
        let known = ["compression", "schedule", "package-conf", "port"];
        assert_eq!(nearest("compresion", &known), Some("compression"));
        assert_eq!(nearest("shcedule", &known), Some("schedule"));
        assert_eq!(nearest("Package_Conf", &known), Some("package-conf"));
        assert_eq!(nearest("pory", &known), Some("port"));
        assert_eq!(nearest("kubernetes", &known), None);
        assert_eq!(nearest(&"schedule".repeat(1000), &known), None);
    }
}
