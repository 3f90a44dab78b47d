// Package test holds the end-to-end tests: real programs, installed by `make install`, on hosts that are network namespaces of this
// machine, driven as an operator drives them. They need root and iproute2 and are skipped with a clear line where those are missing.
package test
