package model

import (
	_ "embed"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

//go:embed labels/imagenet1k.txt
var imageNetText string

//go:embed labels/cifar10.txt
var cifar10Text string

// Limits of a label set: far above any use, low enough that a wrong file is refused soon.
const (
	maxLabels     = 1 << 18
	maxLabelBytes = 1 << 12
	maxLabelFile  = 64 << 20
)

// ImageNetLabels returns the names of the 1000 classes of ImageNet-1k in the order of their index.
func ImageNetLabels() []string { return strings.Split(strings.TrimSuffix(imageNetText, "\n"), "\n") }

// CIFAR10Labels returns the names of the 10 classes of CIFAR-10 in the order of their index.
func CIFAR10Labels() []string { return strings.Split(strings.TrimSuffix(cifar10Text, "\n"), "\n") }

// readLabels reads a text file with one label a line, in the order of the class index.
func readLabels(path string) ([]string, error) {
	data, err := readLimited(path, maxLabelFile)
	if err != nil {
		return nil, fmt.Errorf("read labels %s: %w", path, err)
	}
	labels := strings.Split(strings.TrimRight(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n"), "\n")
	if err := checkLabels(labels); err != nil {
		return nil, fmt.Errorf("read labels %s: %w", path, err)
	}
	return labels, nil
}

// checkLabels refuses what could not be printed as a name.
func checkLabels(labels []string) error {
	if len(labels) == 0 || len(labels) > maxLabels {
		return fmt.Errorf("labels: want 1 to %d, got %d", maxLabels, len(labels))
	}
	for i, l := range labels {
		switch {
		case strings.TrimSpace(l) == "":
			return fmt.Errorf("label %d: want a name, got an empty one", i)
		case len(l) > maxLabelBytes || !utf8.ValidString(l) || strings.ContainsFunc(l, unicode.IsControl):
			return fmt.Errorf("label %d: want at most %d bytes of printable text, got %.40q", i, maxLabelBytes, l)
		}
	}
	return nil
}

// numberedLabels names the classes of a network that nothing names.
func numberedLabels(n int) []string {
	labels := make([]string, n)
	for i := range labels {
		labels[i] = fmt.Sprintf("class %d", i)
	}
	return labels
}

// wantLabels checks that there is one label for each class.
func wantLabels(labels []string, classes int) error {
	if len(labels) != classes {
		return fmt.Errorf("labels: want %d, one for each class of the network, got %d", classes, len(labels))
	}
	return nil
}
