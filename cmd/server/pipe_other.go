//go:build !unix

package main

import "io"

func pollable(in io.Reader) io.Reader { return in }

func takes(io.Writer) func() bool { return nil }
