//! Random numbers of guests: the system's own, asked for each time. A generator in this process would repeat itself in all
//! environments that Lambda's SnapStart restores from one snapshot.
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/snapstart-uniqueness.html>.

use rand_core::TryRng;
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use std::convert::Infallible;

/// The system's random numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct System;

/// A seed for what need not be secure.
pub(crate) fn seed() -> u128 {
    u128::from_ne_bytes(bytes())
}

fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

fn fill(mut rest: &mut [u8]) {
    while !rest.is_empty() {
        match getrandom(&mut *rest, GetRandomFlags::empty()) {
            Ok(count) => rest = rest.get_mut(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Numbers that are not random are worse for a guest than an event that fails.
            Err(error) => panic!("the system has no random numbers: {error}"),
        }
    }
}

impl TryRng for System {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_ne_bytes(bytes()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_ne_bytes(bytes()))
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        fill(target);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_bytes_is_filled_and_no_two_fillings_are_the_same() {
        let (mut one, mut other) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        System.try_fill_bytes(&mut one).unwrap();
        System.try_fill_bytes(&mut other).unwrap();
        assert_ne!(one, other);
        assert!(
            one.chunks(64)
                .all(|chunk| chunk.iter().any(|byte| *byte != 0))
        );
        assert_ne!(seed(), seed());
    }
}
