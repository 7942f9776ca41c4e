package config

import (
	"reflect"
	"slices"
	"strings"
)

// Row is one setting of the README's table.
type Row struct {
	Variable string // <PROVIDER>_… for what each provider has
	Flag     string // with its dashes; "" where a flag would show a secret or would be one for each provider
	File     bool   // whether Variable_FILE may name a file with the value
	Secret   bool
	Default  string
	Values   []string // nil when any value will do
	Help     string
	Group    string
}

// providerVariable stands for a provider's prefix in a Row.
const providerVariable = "<PROVIDER>_"

// Table returns every setting, the providers' own first.
func Table() []Row {
	rows := rowsOf(reflect.TypeFor[providerSettings]())
	for i := range rows {
		rows[i].Variable = providerVariable + rows[i].Variable
		rows[i].Group = "Credentials"
	}
	return append(rows, settingRows()...)
}

// settingRows are the settings that do not belong to one provider.
func settingRows() []Row {
	return slices.Concat(rowsOf(reflect.TypeFor[Settings]()), rowsOf(reflect.TypeFor[NewKey]()), rowsOf(reflect.TypeFor[Access]()), rowsOf(reflect.TypeFor[Serving]()))
}

func rowsOf(declared reflect.Type) []Row {
	var rows []Row
	for i := range declared.NumField() {
		tag := declared.Field(i).Tag
		if tag.Get("env") == "" {
			continue // no setting of its own
		}
		row := Row{Variable: tag.Get("env"), Default: tag.Get("default"), Group: tag.Get("group")}
		row.Help = strings.ReplaceAll(tag.Get("help"), "${enum}", tag.Get("enum"))
		_, row.File = tag.Lookup("file")
		_, row.Secret = tag.Lookup("secret")
		if name := tag.Get("name"); name != "" {
			row.Flag = "--" + name
		}
		if enum := tag.Get("enum"); enum != "" {
			row.Values = strings.Split(enum, ", ")
		}
		rows = append(rows, row)
	}
	return rows
}

// Variables returns the names of all variables that are read, …_FILE included:
// the general ones and those of the given providers.
func Variables(providers []string) []string {
	var names []string
	add := func(row Row, prefix string) {
		names = append(names, prefix+row.Variable)
		if row.File {
			names = append(names, prefix+row.Variable+"_FILE")
		}
	}
	for _, row := range settingRows() {
		add(row, "")
	}
	for _, provider := range providers {
		for _, row := range rowsOf(reflect.TypeFor[providerSettings]()) {
			add(row, Prefix(provider)+"_")
		}
	}
	return names
}

// InFiles returns the variables of the given providers and of Settings in whose
// place a NAME_FILE may name a file.
func InFiles(providers []string) []string {
	var names []string
	for _, provider := range providers {
		names = appendInFiles(names, Prefix(provider)+"_", rowsOf(reflect.TypeFor[providerSettings]()))
	}
	return appendInFiles(names, "", rowsOf(reflect.TypeFor[Settings]()))
}

func appendInFiles(names []string, prefix string, rows []Row) []string {
	for _, row := range rows {
		if row.File {
			names = append(names, prefix+row.Variable)
		}
	}
	return names
}

// IsSecret reports whether the variable name is declared to hold a secret. A
// variable that names a file does not hold one.
func IsSecret(name string) bool {
	for _, row := range Table() {
		variable, ofProvider := strings.CutPrefix(row.Variable, providerVariable)
		if row.Secret && (name == variable || ofProvider && strings.HasSuffix(name, "_"+variable)) {
			return true
		}
	}
	return false
}

// Markdown returns Table as the README shows it.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| variable | flag | default | meaning |\n| --- | --- | --- | --- |\n")
	for _, row := range Table() {
		variable := "`" + row.Variable + "`"
		if row.File {
			variable += ", `…_FILE`"
		}
		cells := []string{variable, code(row.Flag), code(row.Default), strings.ReplaceAll(meaning(row), "|", `\|`)}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	return b.String()
}

func meaning(row Row) string {
	if len(row.Values) == 0 || strings.Contains(row.Help, strings.Join(row.Values, ", ")) {
		return row.Help
	}
	return row.Help + " One of " + strings.Join(row.Values, ", ") + "."
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}
