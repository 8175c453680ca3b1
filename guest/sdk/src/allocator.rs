//! The allocator of components: an event has a memory of its own that goes with it, so nothing is ever put together again or
//! given back. Small pieces come from lists by size, one instruction or two each; large ones from the C library.
//!
//! A guest that frees many pieces of one size and then wants as many of another takes memory for both. Who minds, or brings an
//! allocator, switches off the feature `allocator`.
#![allow(
    unsafe_code,
    reason = "an allocator hands out memory; each block says why it may"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;

/// What sizes are rounded up to, and what every small piece is aligned to.
const STEP: usize = 16;

/// The largest small piece: most that JSON is made of. Beyond it, copying what is kept costs more than finding room.
const SMALL_MAX: usize = 512;

/// What small pieces are cut from.
const BLOCK: usize = 64 << 10;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator(UnsafeCell::new(State {
    free: [null_mut(); SMALL_MAX / STEP],
    block: (&raw mut FIRST).cast(),
    left: BLOCK,
}));

/// The first block is part of the component's memory from the start: most events need no other, and a memory that grows costs
/// the host more than all pieces of an event.
static mut FIRST: Block = Block([0; BLOCK]);

#[repr(align(16))]
struct Block([u8; BLOCK]);

struct Allocator(UnsafeCell<State>);

struct State {
    /// The first free piece of each size; in a free piece stands the next one.
    free: [*mut u8; SMALL_MAX / STEP],
    /// The rest of the block that pieces are cut from, and its size.
    block: *mut u8,
    left: usize,
}

// SAFETY: components of WASI 0.2 have one thread.
unsafe impl Sync for Allocator {}

/// Which list a small piece belongs to; none for what the C library has.
#[inline]
fn list(size: usize, align: usize) -> Option<usize> {
    (size <= SMALL_MAX && align <= STEP).then(|| size.saturating_sub(1) / STEP)
}

impl State {
    #[inline]
    fn take(&mut self, list: usize) -> *mut u8 {
        let piece = self.free[list];
        if piece.is_null() {
            return self.cut((list + 1) * STEP);
        }
        // SAFETY: a piece in a list is ours, aligned and at least a pointer long, and `put` wrote the next one there.
        self.free[list] = unsafe { piece.cast::<*mut u8>().read() };
        piece
    }

    #[inline]
    fn put(&mut self, piece: *mut u8, list: usize) {
        // SAFETY: nobody has the piece any more; it is aligned and at least a pointer long.
        unsafe { piece.cast::<*mut u8>().write(self.free[list]) };
        self.free[list] = piece;
    }

    fn cut(&mut self, size: usize) -> *mut u8 {
        if self.left < size {
            // What is left of the old block is less than the largest small piece, and stays unused.
            // SAFETY: neither the size nor the alignment is zero, and the alignment is a power of two.
            let block = unsafe { System.alloc(Layout::from_size_align_unchecked(BLOCK, STEP)) };
            if block.is_null() {
                return block;
            }
            (self.block, self.left) = (block, BLOCK);
        }
        let piece = self.block;
        // SAFETY: `left` bytes from `block` on are ours, and `size` is not more.
        self.block = unsafe { piece.add(size) };
        self.left -= size;
        piece
    }
}

// SAFETY: pieces are cut from blocks that are never given back, none twice, as large and aligned as asked; a piece returns to
// the list of its own size, which its layout tells as it did when it was asked for. Nothing here panics or calls back.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match list(layout.size(), layout.align()) {
            // SAFETY: with one thread, and no call back, this is the only reference.
            Some(list) => unsafe { &mut *self.0.get() }.take(list),
            // SAFETY: the caller's promise is passed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    #[inline]
    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        match list(layout.size(), layout.align()) {
            // SAFETY: as in `alloc`.
            Some(list) => unsafe { &mut *self.0.get() }.put(piece, list),
            // SAFETY: it came from there, since the same layout says so again.
            None => unsafe { System.dealloc(piece, layout) },
        }
    }

    #[inline]
    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (before, after) = (
            list(layout.size(), layout.align()),
            list(size, layout.align()),
        );
        if before.is_none() && after.is_none() {
            // SAFETY: it came from there, and the caller's promise is passed on.
            return unsafe { System.realloc(piece, layout, size) };
        }
        if before == after {
            return piece;
        }
        // SAFETY: the alignment is the old layout's, and the caller promises that the size does not overflow with it.
        let moved = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !moved.is_null() {
            // SAFETY: both are as long as what is copied, and the new piece is not the old one.
            unsafe {
                std::ptr::copy_nonoverlapping(piece, moved, size.min(layout.size()));
                self.dealloc(piece, layout);
            }
        }
        moved
    }
}
