//! Numbers in rows.

/// Appends a number.
pub(in crate::jobs) fn decimal(rows: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    rows.extend_from_slice(&digits[at..]);
}
