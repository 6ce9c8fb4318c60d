//! The longest common subsequence of two lists (Myers, "An O(ND) difference algorithm").

/// Elements of either list that are not common; more are not looked for.
const DIFFERENCES_MAX: usize = 6_000;

/// Positions of the common elements in both lists, ascending. `None`: too different.
pub(super) fn common<T: PartialEq>(left: &[T], right: &[T]) -> Option<Vec<(usize, usize)>> {
    let differences_max = DIFFERENCES_MAX.min(left.len() + right.len());
    // ends[k]: how far into `left` the path on diagonal k = left − right has come.
    let mut ends = vec![0usize; 2 * differences_max + 3];
    let middle = differences_max + 1;
    let mut steps: Vec<Vec<usize>> = Vec::new();
    for differences in 0..=differences_max {
        let window = ends.get(middle - differences - 1..=middle + differences + 1)?.to_vec();
        steps.push(window);
        for diagonal in (0..=2 * differences).step_by(2) {
            // `at` is the diagonal's place in `ends`.
            let at = middle - differences + diagonal;
            let (less, more) = (ends.get(at - 1).copied()?, ends.get(at + 1).copied()?);
            let down = diagonal == 0 || (diagonal != 2 * differences && less < more);
            let mut x = if down { more } else { less + 1 };
            let Some(mut y) = (x + middle).checked_sub(at) else { continue };
            while x < left.len() && y < right.len() && left.get(x) == right.get(y) {
                (x, y) = (x + 1, y + 1);
            }
            *ends.get_mut(at)? = x;
            if x >= left.len() && y >= right.len() {
                return walk_back(&steps, left.len(), right.len());
            }
        }
    }
    None
}

fn walk_back(steps: &[Vec<usize>], left: usize, right: usize) -> Option<Vec<(usize, usize)>> {
    let mut pairs = Vec::new();
    let (mut x, mut y) = (left, right);
    for (differences, ends) in steps.iter().enumerate().rev() {
        // The window is centred: place `differences + 1` is diagonal 0.
        let at = (x + differences + 1).checked_sub(y)?;
        let is_first = at == 1;
        let is_last = at == 2 * differences + 1;
        let (less, more) = (ends.get(at.checked_sub(1)?).copied()?, ends.get(at + 1).copied()?);
        let down = is_first || (!is_last && less < more);
        let (from_x, from_y) = match (differences, down) {
            (0, _) => (0, 0),
            (_, true) => (more, (more + differences).checked_sub(at)?),
            (_, false) => (less, (less + differences + 2).checked_sub(at)?),
        };
        let (start_x, start_y) = match (differences, down) {
            (0, _) => (0, 0),
            (_, true) => (from_x, from_y + 1),
            (_, false) => (from_x + 1, from_y),
        };
        while x > start_x && y > start_y {
            (x, y) = (x - 1, y - 1);
            pairs.push((x, y));
        }
        (x, y) = (from_x, from_y);
    }
    pairs.reverse();
    Some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same by a table: slow, and plainly right.
    fn length(left: &[u8], right: &[u8]) -> usize {
        let mut table = vec![vec![0; right.len() + 1]; left.len() + 1];
        for (i, a) in left.iter().enumerate() {
            for (j, b) in right.iter().enumerate() {
                table[i + 1][j + 1] = match a == b {
                    true => table[i][j] + 1,
                    false => table[i][j + 1].max(table[i + 1][j]),
                };
            }
        }
        table[left.len()][right.len()]
    }

    #[track_caller]
    fn check(left: &[u8], right: &[u8]) {
        let pairs = common(left, right).unwrap();
        assert_eq!(pairs.len(), length(left, right), "{left:?} {right:?}");
        assert!(pairs.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1), "{pairs:?}");
        assert!(pairs.iter().all(|(a, b)| left[*a] == right[*b]), "{pairs:?}");
    }

    #[test]
    fn it_is_as_long_as_the_table_says() {
        check(b"", b"");
        check(b"abc", b"");
        check(b"", b"abc");
        check(b"abcabba", b"cbabac");
        check(b"same", b"same");
        let mut state = 7u32;
        let mut next = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % below
        };
        for _ in 0..500 {
            let (left, right) = (next(12), next(12));
            let left: Vec<u8> = (0..left).map(|_| next(4) as u8).collect();
            let right: Vec<u8> = (0..right).map(|_| next(4) as u8).collect();
            check(&left, &right);
        }
    }

    #[test]
    fn lists_that_have_nothing_in_common_are_given_up() {
        let left = vec![1u8; 10_000];
        assert_eq!(common(&left, &[2; 10_000]), None);
    }
}
