//! What the jobs of the self-test look for, and texts with it: planted matches, also across the borders of chunks, and
//! near misses.

use fastrand::Rng;
use std::collections::BTreeSet;

/// A text, and how many of its plants lie across or beside a border: so many matches it has at least.
pub struct Text {
    pub bytes: Vec<u8>,
    pub at_borders: usize,
}

/// The bytes of which strings and what is between plants are made. As they are few, short strings occur by chance, too.
const LETTERS: &[u8] = b"abcdeXYZ019-. \n";

/// Different strings of 3 to 20 bytes, and some that overlap each other and themselves.
pub fn strings(numbers: &mut Rng, count: usize) -> Vec<Vec<u8>> {
    let overlapping: [&[u8]; 6] = [b"abab", b"ababab", b"bab", b"baba", b"aba-aba", b"a-aba"];
    let mut strings: BTreeSet<Vec<u8>> = overlapping.map(<[u8]>::to_vec).into();
    while strings.len() < count {
        let length = numbers.usize(3..=20);
        let mut letter = || LETTERS[numbers.usize(..LETTERS.len() - 2)];
        strings.insert((0..length).map(|_| letter()).collect());
    }
    strings.into_iter().collect()
}

/// A text of these plants, with others that are no more than nearly theirs. A plant lies at each multiple of `border`.
pub fn text(numbers: &mut Rng, plants: &[Vec<u8>], length: usize, border: usize) -> Text {
    let mut bytes = Vec::with_capacity(length + border);
    let of_plants = |numbers: &mut Rng| plants[numbers.usize(..plants.len())].clone();
    while bytes.len() < length {
        match numbers.u8(..4) {
            0 => bytes.extend(of_plants(numbers)),
            1 => {
                let plant = of_plants(numbers);
                bytes.extend(near_miss(numbers, plant));
            }
            _ => {
                let count = numbers.usize(1..60);
                bytes.extend((0..count).map(|_| LETTERS[numbers.usize(..LETTERS.len())]));
            }
        }
    }
    bytes.truncate(length);
    let mut at_borders = 0;
    for at in (border..length).step_by(border) {
        let plant = of_plants(numbers);
        let start = at - numbers.usize(..=plant.len());
        if let Some(place) = bytes.get_mut(start..start + plant.len()) {
            place.copy_from_slice(&plant);
            at_borders += 1;
        }
    }
    Text { bytes, at_borders }
}

/// A plant with another byte in it, without its last byte, or with a letter in the other case.
fn near_miss(numbers: &mut Rng, mut plant: Vec<u8>) -> Vec<u8> {
    let at = numbers.usize(..plant.len());
    match numbers.u8(..3) {
        0 => plant[at] ^= 1,
        1 => drop(plant.pop()),
        _ if plant[at].is_ascii_alphabetic() => plant[at] ^= 0x20,
        _ => plant[at] = b'_',
    }
    plant
}
