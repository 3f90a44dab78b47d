// Package sum holds what both ends of file integrity monitoring share: the checksum text of a file (spec syscheck.md, section 5), the
// rule that says when two checksums really differ (section 11.2), the form of an integrity message, and the hasher that computes all
// digests of a file in one read.
//
// The one invariant: a digest is always the digest of exactly the bytes that were counted in Result.Bytes; a file that changes
// while it is read yields an error or a consistent prefix, never a mixture that claims to be complete.
package sum
