package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"bankauth/internal/fault"
)

// Kong returns the option with which kong takes the env tags from e. Kong
// itself would read the process's environment, placeholders included, and
// would quote a wrong value in its error.
func (e Environment) Kong() kong.Option {
	variables := map[*kong.Value][]string{}
	return kong.OptionFunc(func(k *kong.Kong) error {
		options := []kong.Option{
			kong.PostBuild(func(k *kong.Kong) error { return takeVariables(k, variables) }),
			kong.Resolvers(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
				return e.resolve(flag, variables[flag.Value])
			})),
			kong.ValueFormatter(func(value *kong.Value) string { return describe(value, variables[value]) }),
		}
		for _, option := range options {
			if err := option.Apply(k); err != nil {
				return err
			}
		}
		return nil
	})
}

func takeVariables(k *kong.Kong, variables map[*kong.Value][]string) error {
	return kong.Visit(k.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok && len(flag.Tag.Envs) > 0 {
			variables[flag.Value] = flag.Tag.Envs
			flag.Tag.Envs = nil
		}
		return next(nil)
	})
}

func describe(value *kong.Value, variables []string) string {
	help := kong.DefaultHelpValueFormatter(value)
	for _, name := range variables {
		help += " ($" + name + ")"
	}
	return help
}

func (e Environment) resolve(flag *kong.Flag, variables []string) (any, error) {
	for _, name := range variables {
		value, ok := e.Lookup(name)
		if !ok {
			continue
		}
		switch {
		case flag.Target.Kind() == reflect.Bool:
			return truth(name, value)
		case flag.Enum != "":
			value = strings.ToLower(value)
			if allowed := flag.EnumSlice(); !slices.Contains(allowed, value) {
				return nil, fault.New(fault.NotConfigured, name+" is not one of its values", "set it to "+oneOf(allowed))
			}
		}
		return value, nil
	}
	return nil, nil
}

func truth(name, value string) (any, error) {
	switch strings.ToLower(value) {
	case "1", "true", "yes", "on":
		return true, nil
	case "0", "false", "no", "off":
		return false, nil
	}
	return nil, fault.New(fault.NotConfigured, name+" is neither true nor false", "set it to true or false, or unset it")
}
