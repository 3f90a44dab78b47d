//go:build !linux

package main

import "fmt"

func main() { fmt.Println("fimbench runs on Linux only.") }
