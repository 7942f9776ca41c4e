package config

import (
	"reflect"
	"slices"
	"strings"

	"bankauth/internal/fault"
)

// Fill gives the fields of a command, a pointer to a struct, what kong would
// give them for a command line without flags and with the option e.Kong: what
// the variables say, else the defaults. Of a start of `bankauth stdio` kong
// would take a tenth, to read the declaration of its flags.
//
// false: there is something here that only kong knows, or a variable that is
// wrong, of which kong says more. Then the fields hold nothing of use.
func (e Environment) Fill(command any) bool { return e.fill(reflect.ValueOf(command).Elem()) }

func (e Environment) fill(fields reflect.Value) bool {
	for i := range fields.NumField() {
		f, field := fields.Type().Field(i), fields.Field(i)
		if f.Tag.Get("kong") == "-" {
			continue
		}
		if _, embedded := f.Tag.Lookup("embed"); embedded {
			if !e.fill(field) {
				return false
			}
			continue
		}
		if !e.fillField(field, f.Tag) {
			return false
		}
	}
	return true
}

func (e Environment) fillField(field reflect.Value, tag reflect.StructTag) bool {
	for _, other := range []string{"arg", "cmd", "required", "type", "prefix", "xor", "and"} {
		if _, there := tag.Lookup(other); there {
			return false
		}
	}
	value, set, err := e.setting(split(tag.Get("env")), field.Kind() == reflect.Bool, split(tag.Get("enum")))
	if err != nil {
		return false
	}
	if !set {
		value = tag.Get("default")
	}
	switch text, isText := value.(string); {
	case field.Kind() == reflect.Bool && !isText:
		field.SetBool(value.(bool))
	case field.Kind() == reflect.String && isText:
		field.SetString(text)
	case field.Type() == reflect.TypeFor[[]string]() && isText && text != "" && !strings.Contains(text, `\`):
		field.Set(reflect.ValueOf(strings.Split(strings.TrimSuffix(text, ","), ",")))
	default:
		return isText && (text == "" || text == "0") // the zero value, of any kind
	}
	return true
}

// split takes a tag's list apart.
func split(list string) (parts []string) {
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// setting returns what the first of the variables that is set says: a bool
// for a switch, else a string, in lower case where only the values of enum
// are allowed.
func (e Environment) setting(variables []string, isSwitch bool, enum []string) (value any, set bool, err error) {
	for _, name := range variables {
		text, ok := e.Lookup(name)
		if !ok {
			continue
		}
		switch {
		case isSwitch:
			value, err = truth(name, text)
			return value, true, err
		case len(enum) > 0:
			text = strings.ToLower(text)
			if !slices.Contains(enum, text) {
				return nil, false, fault.New(fault.NotConfigured, name+" is not one of its values", "set it to "+oneOf(enum))
			}
		}
		return text, true, nil
	}
	return nil, false, nil
}

func truth(name, value string) (bool, error) {
	switch strings.ToLower(value) {
	case "1", "true", "yes", "on":
		return true, nil
	case "0", "false", "no", "off":
		return false, nil
	}
	return false, fault.New(fault.NotConfigured, name+" is neither true nor false", "set it to true or false, or unset it")
}
