package config

import (
	"reflect"

	"github.com/alecthomas/kong"
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
	value, set, err := e.setting(variables, flag.Target.Kind() == reflect.Bool, split(flag.Enum))
	if err != nil || !set {
		return nil, err
	}
	return value, nil
}
