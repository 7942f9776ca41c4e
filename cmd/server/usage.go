package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"bankauth/internal/fault"
	"bankauth/schema"
)

// exit ends a command with a code and without a word: what there was to say
// has been said.
type exit int

// Error makes an exit an error.
func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// misuse is a command line that cannot be followed; one line.
type misuse string

// Error returns the line.
func (m misuse) Error() string { return string(m) }

// report says what went wrong and returns the code to exit with.
func (p *process) report(err error) int {
	var code exit
	var wrong misuse
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &wrong):
		fmt.Fprintf(p.err, "bankauth: %s\n", wrong)
		return exitMisused
	}
	var f *fault.Fault
	if !errors.As(err, &f) && errors.Is(err, syscall.EPIPE) {
		return exitFailed // whoever reads our output has had enough of it, as `head` has
	}
	if lines := mistakes(err); len(lines) > 0 {
		for _, line := range lines {
			fmt.Fprintf(p.err, "bankauth: %s\n", line)
		}
		return exitMisused
	}
	return p.fault(fault.From(err))
}

func (p *process) fault(f *fault.Fault) int {
	fmt.Fprintf(p.err, "bankauth: %s\n", f.Message)
	if f.Hint != "" {
		fmt.Fprintf(p.err, "  %s\n", f.Hint)
	}
	if f.Code == fault.NotConfigured || f.Code == fault.InvalidArgument {
		return exitMisused
	}
	return exitFailed
}

// mistakes returns what is wrong in the documents, a line each.
func mistakes(err error) []string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var lines []string
		for _, e := range joined.Unwrap() {
			lines = append(lines, mistakes(e)...)
		}
		return lines
	}
	var m *schema.Mistake
	if errors.As(err, &m) {
		return []string{m.Error()}
	}
	return nil
}

func (p *process) noCommand(parser *kong.Kong) int {
	parser.Stdout = p.err
	if c, err := kong.Trace(parser, nil); err == nil {
		_ = c.PrintUsage(false)
	}
	return p.report(misuse("no command was given; an MCP host starts `bankauth stdio`, and `bankauth demo` shows what it does"))
}

// misused rephrases kong's error in one line that names the next step.
func (p *process) misused(err error) int {
	var f *fault.Fault
	if errors.As(err, &f) {
		return p.fault(f)
	}
	said, help := rephrase(err.Error()), "bankauth --help"
	var parse *kong.ParseError
	switch {
	case errors.As(err, &parse) && parse.Context != nil && parse.Context.Command() != "":
		help = "bankauth " + words(parse.Context.Command()) + " --help"
	case strings.HasPrefix(err.Error(), "unknown flag"):
		said = "a flag follows its command, as in `bankauth stdio --simulate`"
	}
	return p.report(misuse(said + "; see `" + help + "`"))
}

// rephrase says what kong says of a command line. Its texts quote what was
// typed, which may be a secret in the wrong place, so only names of ours are
// taken from them.
func rephrase(said string) string {
	near := ""
	if m := regexp.MustCompile(`did you mean (?:one of )?((?:"[^"]+"(?:, )?)+)\?$`).FindStringSubmatch(said); m != nil {
		near = "; did you mean " + strings.ReplaceAll(m[1], `"`, "") + "?"
		near = strings.TrimSuffix(near, "?") // the line goes on
	}
	switch {
	case strings.HasPrefix(said, "unknown flag"):
		return "there is no such flag" + near
	case strings.HasPrefix(said, "unexpected argument"):
		return "there is no such command or argument" + near
	}
	if m := regexp.MustCompile(`^(--[a-z0-9-]+)\S*: (?:expected \S+ value but got|missing value)`).FindStringSubmatch(said); m != nil {
		return m[1] + " needs a value"
	}
	if m := regexp.MustCompile(`^(--[a-z0-9-]+)(?:=\S+)?(?: must be one of ((?:"[^"]*",?)+) but got|: )`).FindStringSubmatch(said); m != nil {
		if m[2] == "" {
			return "the value of " + m[1] + " is not of the right kind"
		}
		return m[1] + " must be one of " + strings.ReplaceAll(strings.ReplaceAll(m[2], `"`, ""), ",", ", ")
	}
	if m := regexp.MustCompile(`^expected (?:one of )?((?:"[^"]+"(?:, )?)+)`).FindStringSubmatch(said); m != nil {
		return "something is missing after the command: " + strings.ReplaceAll(m[1], `"`, "")
	}
	return "this command line cannot be followed"
}

// words leaves the arguments out of what kong calls a command.
func words(command string) string {
	var kept []string
	for _, w := range strings.Fields(command) {
		if !strings.HasPrefix(w, "<") {
			kept = append(kept, w)
		}
	}
	return strings.Join(kept, " ")
}
