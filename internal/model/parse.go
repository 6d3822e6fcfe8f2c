package model

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseChannels reads "R,G,B", or one number for all three channels; name is what errors call it.
func ParseChannels(name, text string) ([3]float32, error) {
	var v [3]float32
	fields := strings.Split(text, ",")
	if len(fields) != 1 && len(fields) != 3 {
		return v, fmt.Errorf("%s: want one number or three (red, green, blue) with commas between, got %.40q", name, text)
	}
	for i := range v {
		field := strings.TrimSpace(fields[i%len(fields)])
		f, err := strconv.ParseFloat(field, 32)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return v, fmt.Errorf("%s: want a finite number, got %.40q", name, field)
		}
		v[i] = float32(f)
	}
	return v, nil
}

// maxExtent bounds the rows and columns that can be asked for.
const maxExtent = 1 << 16

// ParseExtent reads rows and columns, "480x640". Empty text is 0 and 0, meaning none was given.
func ParseExtent(text string) (height, width int, err error) {
	if text == "" {
		return 0, 0, nil
	}
	h, w, ok := strings.Cut(text, "x")
	height, err1 := strconv.Atoi(h)
	width, err2 := strconv.Atoi(w)
	if !ok || err1 != nil || err2 != nil || min(height, width) < 1 || max(height, width) > maxExtent {
		return 0, 0, fmt.Errorf("read extent: want HxW with 1 to %d rows and columns, for example 224x224, got %.40q", maxExtent, text)
	}
	return height, width, nil
}
