// Prints what kustomize has built in as data files for the renderer: the fields its transformers change,
// the lists its strategic merge merges, and the kinds outside namespaces.
//
//	go run . DIRECTORY
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	_ "unsafe" // for go:linkname

	"k8s.io/kube-openapi/pkg/validation/spec"
	_ "sigs.k8s.io/kustomize/api/krusty" // links the internal packages named below
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

const source = `# Made by scripts/record-kustomize-tables (scripts/kustomize-tables); do not edit.
# Source: kustomize 5.5.0 (sigs.k8s.io/kustomize/api 0.18.0, kyaml 0.18.1, Kubernetes OpenAPI 1.21.2).
# Copyright The Kubernetes Authors. Licence: Apache-2.0.
`

// The default configuration is in an internal package, and its order comes out of an unstable sort.
// So kustomize's own functions are called: these types have the layout of theirs.
type transformerConfig struct {
	NamePrefix        types.FsSlice
	NameSuffix        types.FsSlice
	NameSpace         types.FsSlice
	CommonLabels      types.FsSlice
	Labels            types.FsSlice
	TemplateLabels    types.FsSlice
	CommonAnnotations types.FsSlice
	NameReference     []nameBackReferences
	VarReference      types.FsSlice
	Images            types.FsSlice
	Replicas          types.FsSlice
}

type nameBackReferences struct {
	resid.Gvk
	Referrers types.FsSlice
}

//go:linkname makeDefaultConfig sigs.k8s.io/kustomize/api/internal/plugins/builtinconfig.MakeDefaultConfig
func makeDefaultConfig() *transformerConfig

//go:linkname mergeConfig sigs.k8s.io/kustomize/api/internal/plugins/builtinconfig.(*TransformerConfig).Merge
func mergeConfig(t, input *transformerConfig) (*transformerConfig, error)

//go:linkname precomputedIsNamespaceScoped sigs.k8s.io/kustomize/kyaml/openapi.precomputedIsNamespaceScoped
var precomputedIsNamespaceScoped map[yaml.TypeMeta]bool

func main() {
	log.SetFlags(0)
	log.SetPrefix("kustomize-tables: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: kustomize-tables DIRECTORY")
	}
	for name, text := range map[string][]byte{
		"field-specs.yaml": fieldSpecs(),
		"merge-keys.txt":   mergeKeys(),
		"scopes.txt":       scopes(),
	} {
		if err := os.WriteFile(filepath.Join(os.Args[1], name), text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

func fieldSpecs() []byte {
	config := makeDefaultConfig()
	// Every target merges the default into an empty configuration, which drops duplicates and sorts
	// once more, and then merges what its CRDs say. What counts is the result.
	used := &transformerConfig{}
	for _, input := range []*transformerConfig{config, {}} {
		var err error
		if used, err = mergeConfig(used, input); err != nil {
			log.Fatal(err)
		}
	}
	if again, err := mergeConfig(used, &transformerConfig{}); err != nil || !reflect.DeepEqual(again, used) {
		log.Fatal("the order of the default configuration changes with every merge")
	}
	for _, difference := range differences(config, used) {
		log.Print("loading changes ", difference)
	}

	var out bytes.Buffer
	out.WriteString(source)
	out.WriteString(`# The default configuration of the transformers in the order in which kustomize applies it, in the
# format of a file under "configurations:".
`)
	for _, part := range []struct {
		name  string
		specs types.FsSlice
	}{
		{"namePrefix", used.NamePrefix},
		{"nameSuffix", used.NameSuffix},
		{"namespace", used.NameSpace},
		{"commonLabels", used.CommonLabels},
		{"labels", used.Labels},
		{"templateLabels", used.TemplateLabels},
		{"commonAnnotations", used.CommonAnnotations},
	} {
		writeSpecs(&out, "", part.name, part.specs)
	}
	out.WriteString("nameReference:\n")
	for _, target := range used.NameReference {
		writeGvk(&out, "- ", "  ", target.Gvk)
		writeSpecs(&out, "  ", "fieldSpecs", target.Referrers)
	}
	writeSpecs(&out, "", "varReference", used.VarReference)
	writeSpecs(&out, "", "images", used.Images)
	writeSpecs(&out, "", "replicas", used.Replicas)
	return out.Bytes()
}

// differences names the parts in which two configurations differ.
func differences(a, b *transformerConfig) (names []string) {
	x, y := reflect.ValueOf(*a), reflect.ValueOf(*b)
	for i := 0; i < x.NumField(); i++ {
		if p, q := x.Field(i), y.Field(i); p.Len() != q.Len() ||
			p.Len() > 0 && !reflect.DeepEqual(p.Interface(), q.Interface()) {
			names = append(names, fmt.Sprintf("%s (%d entries, %d after)", x.Type().Field(i).Name, p.Len(), q.Len()))
		}
	}
	return names
}

func writeSpecs(out *bytes.Buffer, indent, name string, specs types.FsSlice) {
	if len(specs) == 0 {
		fmt.Fprintf(out, "%s%s: []\n", indent, name)
		return
	}
	fmt.Fprintf(out, "%s%s:\n", indent, name)
	for _, spec := range specs {
		next := writeGvk(out, indent+"- ", indent+"  ", spec.Gvk)
		fmt.Fprintf(out, "%spath: %s\n", next, spec.Path)
		if spec.CreateIfNotPresent {
			fmt.Fprintf(out, "%s  create: true\n", indent)
		}
	}
}

// writeGvk writes the fields that are set, the first of them behind `first`, and returns what goes
// before the next field.
func writeGvk(out *bytes.Buffer, first, rest string, gvk resid.Gvk) string {
	before := first
	for _, field := range [][2]string{{"group", gvk.Group}, {"version", gvk.Version}, {"kind", gvk.Kind}} {
		if field[1] != "" {
			fmt.Fprintf(out, "%s%s: %s\n", before, field[0], field[1])
			before = rest
		}
	}
	return before
}

// field is a field of a definition.
type field struct {
	name, shape, ref, strategy string
	keys                       []string
}

func mergeKeys() []byte {
	definitions := openapi.Schema().Definitions
	fields := map[string][]field{}
	for name := range definitions {
		definition := definitions[name]
		fields[name] = fieldsOf(name, &definition)
	}

	// A definition matters if a list in it or below it is merged.
	matters := map[string]bool{}
	for changed := true; changed; {
		changed = false
		for name, all := range fields {
			for _, f := range all {
				if !matters[name] && (f.shape == "list" || matters[f.ref]) {
					matters[name], changed = true, true
				}
			}
		}
	}

	var out bytes.Buffer
	out.WriteString(source)
	out.WriteString(`# Which lists a strategic merge patch merges item by item. Every other list is replaced as a whole.
#   type APIVERSION KIND DEFINITION
#   def DEFINITION             with its fields below it, as far as they matter:
#     field NAME object DEFINITION
#                              the value is an object of that definition
#     field NAME list DEFINITION|- STRATEGY KEYS|-
#                              a list to merge: the definition of its items (-: no list in them is
#                              merged), its patch strategy, which is merge or contains it, and the
#                              keys, comma between them, which identify an item (-: the items are
#                              plain values)
# A type, definition or field that is missing has no list below it that is merged.
`)
	owners := map[string]string{}
	for name := range definitions {
		for _, gvk := range gvksOf(name, definitions[name]) {
			if other, taken := owners[gvk]; taken && (matters[other] || matters[name]) {
				// kustomize would take either of them, by chance.
				log.Fatalf("%s is both %s and %s", gvk, other, name)
			}
			owners[gvk] = name
		}
	}
	for _, gvk := range sorted(owners) {
		if matters[owners[gvk]] {
			fmt.Fprintf(&out, "type %s %s\n", gvk, short(owners[gvk]))
		}
	}
	ids := map[string]string{}
	for _, name := range sorted(fields) {
		if other, taken := ids[short(name)]; taken {
			log.Fatalf("%s and %s have the same short name", name, other)
		}
		ids[short(name)] = name
	}
	for _, id := range sorted(ids) {
		if !matters[ids[id]] {
			continue
		}
		fmt.Fprintf(&out, "def %s\n", id)
		for _, f := range fields[ids[id]] {
			ref := "-"
			if matters[f.ref] {
				ref = short(f.ref)
			}
			switch {
			case f.shape == "list":
				keys := strings.Join(f.keys, ",")
				if keys == "" {
					keys = "-"
				}
				fmt.Fprintf(&out, "  field %s list %s %s %s\n", f.name, ref, f.strategy, keys)
			case ref != "-" && f.shape == "map":
				log.Fatalf("%s.%s: a map of objects that matter", id, f.name) // there was none so far
			case ref != "-":
				fmt.Fprintf(&out, "  field %s object %s\n", f.name, ref)
			}
		}
	}
	return out.Bytes()
}

// fieldsOf returns the fields of a definition which lead to other definitions, and the lists that are
// merged, sorted by name. Lists that are not merged are not looked into, as kustomize does not either.
func fieldsOf(owner string, definition *spec.Schema) (all []field) {
	properties := map[string]spec.Schema{}
	for name, property := range definition.Properties {
		properties[name] = property
	}
	if more := definition.AdditionalProperties; more != nil && more.Schema != nil {
		properties["*"] = *more.Schema
	}
	for _, name := range sorted(properties) {
		property := properties[name]
		f := field{name: name}
		switch {
		case property.Ref.String() != "":
			f.shape, f.ref = "object", refOf(&property)
			if name == "*" {
				f.shape = "map"
			}
		case property.AdditionalProperties != nil && property.AdditionalProperties.Schema != nil:
			inner := property.AdditionalProperties.Schema
			if inner.Ref.String() == "" && (len(inner.Properties) > 0 || inner.Items != nil && isMerged(inner)) {
				log.Fatalf("%s.%s: a map of something written in place", owner, name)
			}
			f.shape, f.ref = "map", refOf(inner)
		case len(property.Type) == 1 && property.Type[0] == "array" && isMerged(&property):
			f.shape, f.ref = "list", refOf(property.Items.Schema)
			f.strategy, f.keys = (&openapi.ResourceSchema{Schema: &property}).PatchStrategyAndKeyList()
		default:
			if len(property.Properties) > 0 {
				log.Fatalf("%s.%s: an object written in place", owner, name)
			}
			continue
		}
		all = append(all, f)
	}
	return all
}

// isMerged says what kyaml's schema.IsAssociative says of a list with a known schema.
func isMerged(s *spec.Schema) bool {
	strategies, _ := (&openapi.ResourceSchema{Schema: s}).PatchStrategyAndKey()
	for _, strategy := range strings.Split(strategies, ",") {
		if strategy == "merge" {
			return true
		}
	}
	return false
}

func refOf(s *spec.Schema) string {
	return strings.TrimPrefix(s.Ref.String(), "#/definitions/")
}

// gvksOf returns the types which a definition describes, each as its apiVersion and kind.
func gvksOf(name string, definition spec.Schema) (gvks []string) {
	entries, _ := definition.Extensions["x-kubernetes-group-version-kind"].([]interface{})
	for _, entry := range entries {
		m, ok := entry.(map[string]interface{})
		if !ok {
			log.Fatalf("%s: unexpected group, version and kind %v", name, entry)
		}
		group, _ := m["group"].(string)
		gvk := resid.Gvk{Group: group, Version: m["version"].(string), Kind: m["kind"].(string)}
		gvks = append(gvks, gvk.ApiVersion()+" "+gvk.Kind)
	}
	return gvks
}

// short leaves out of a definition's name what they have in common.
func short(name string) string {
	for _, prefix := range []string{
		"io.k8s.api.",
		"io.k8s.apiextensions-apiserver.pkg.apis.",
		"io.k8s.apimachinery.pkg.apis.",
		"io.k8s.kube-aggregator.pkg.apis.",
	} {
		if rest, found := strings.CutPrefix(name, prefix); found {
			return rest
		}
	}
	return name
}

func scopes() []byte {
	// The table kustomize looks into first is checked against the schema behind it.
	for name, definition := range openapi.Schema().Definitions {
		for _, gvk := range gvksOf(name, definition) {
			apiVersion, kind, _ := strings.Cut(gvk, " ")
			meta := yaml.TypeMeta{APIVersion: apiVersion, Kind: kind}
			if _, found := openapi.IsNamespaceScoped(meta); found {
				if _, known := precomputedIsNamespaceScoped[meta]; !known {
					log.Fatalf("the scope of %s comes from the schema only", gvk)
				}
			}
		}
	}
	var lines []string
	for meta := range precomputedIsNamespaceScoped {
		if openapi.IsCertainlyClusterScoped(meta) {
			lines = append(lines, fmt.Sprintf("cluster %s %s\n", meta.APIVersion, meta.Kind))
		}
	}
	sort.Strings(lines)
	return []byte(source + `# The types which kustomize knows to be outside namespaces. It takes every other type for a namespaced
# one, also those it does not know.
#   cluster APIVERSION KIND
` + strings.Join(lines, ""))
}

func sorted[V any](m map[string]V) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
