package tools

// Describe lets a test compare the compiled tools with what they are made of.
func (s *Set) Describe() ([]Tool, error) { return s.describe() }

// Source is compiled.go for tools.
func Source(tools []Tool) string { return source(tools) }
