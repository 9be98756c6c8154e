// Command manifests renders the Helm chart and builds kustomizations with the libraries of Helm and
// kustomize. The programs themselves take several times as long to build.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const usage = `usage: manifests template CHART RELEASE NAMESPACE VALUES...
       manifests notes CHART RELEASE NAMESPACE VALUES...
       manifests lint CHART VALUES...
       manifests kustomize FOLDER`

func main() {
	text, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "manifests:", err)
		os.Exit(1)
	}
	fmt.Print(text)
}

func run(args []string) (string, error) {
	switch {
	case len(args) >= 4 && (args[0] == "template" || args[0] == "notes"):
		return template(args[1], args[2], args[3], args[4:], args[0] == "notes")
	case len(args) >= 2 && args[0] == "lint":
		return "", check(args[1], args[2:])
	case len(args) == 2 && args[0] == "kustomize":
		return build(args[1])
	}
	return "", errors.New(usage)
}

// template renders a chart as `helm template` does: the manifests of the release, hooks and tests among
// them, or its notes.
func template(chart, release, namespace string, files []string, notes bool) (string, error) {
	values, err := merged(files)
	if err != nil {
		return "", err
	}
	loaded, err := loader.Load(chart)
	if err != nil {
		return "", err
	}
	options := common.ReleaseOptions{
		Name:      release,
		Namespace: namespace,
		Revision:  1,
		IsInstall: true,
	}
	// Validates the values by the chart's schema.
	all, err := util.ToRenderValues(loaded, values, options, nil)
	if err != nil {
		return "", err
	}
	rendered, err := engine.Engine{}.RenderWithContext(context.Background(), loaded, all)
	if err != nil {
		return "", err
	}
	names := make([]string, 0, len(rendered))
	for name := range rendered {
		names = append(names, name)
	}
	slices.Sort(names)
	var text strings.Builder
	for _, name := range names {
		isNotes := filepath.Base(name) == "NOTES.txt"
		isPartial := strings.HasPrefix(filepath.Base(name), "_")
		if isNotes != notes || isPartial || strings.TrimSpace(rendered[name]) == "" {
			continue
		}
		if !isNotes {
			fmt.Fprintf(&text, "---\n# Source: %s\n", name)
		}
		fmt.Fprintln(&text, rendered[name])
	}
	return text.String(), nil
}

// check lints a chart; a warning is an error, as with `helm lint --strict`.
func check(chart string, files []string) error {
	values, err := merged(files)
	if err != nil {
		return err
	}
	result := lint.RunAll(chart, values, "default")
	var problems []error
	for _, message := range result.Messages {
		if message.Severity >= support.WarningSev {
			problems = append(problems, message)
		}
	}
	return errors.Join(problems...)
}

// merged reads files of values; later files override earlier ones.
func merged(files []string) (map[string]any, error) {
	values := map[string]any{}
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		read, err := loader.LoadValues(file)
		file.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		values = loader.MergeMaps(values, read)
	}
	return values, nil
}

// build builds a kustomization, as `kustomize build` does.
func build(folder string) (string, error) {
	kustomizer := krusty.MakeKustomizer(krusty.MakeDefaultOptions())
	resources, err := kustomizer.Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return "", err
	}
	text, err := resources.AsYaml()
	return string(text), err
}
