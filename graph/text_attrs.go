package graph

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// opSpec is how one op stands in the text form: its fields, and the defaults that are left out.
type opSpec struct {
	name  string
	print func(Op) []attr
	parse func(attrs []attr) (Op, error)
}

type attr struct{ key, value string }

// field is one attribute of an op; at points at the attribute inside an op being read or written.
type field struct {
	key string
	at  any // *int, *bool, *float64, *[2]int, *[3]int, *Padding or *Activation
}

// spec makes the opSpec of op type T from its default value and its fields.
func spec[T Op](def T, fields func(*T) []field) opSpec {
	return opSpec{
		name: def.Name(),
		print: func(op Op) []attr {
			o, d := op.(T), def
			of, df := fields(&o), fields(&d)
			var out []attr
			for i, f := range of {
				if v := formatField(f.at); v != formatField(df[i].at) {
					out = append(out, attr{f.key, v})
				}
			}
			return out
		},
		parse: func(attrs []attr) (Op, error) {
			o := def
			fs := fields(&o)
			seen := map[string]bool{}
			for _, a := range attrs {
				f := findField(fs, a.key)
				if f == nil {
					return nil, fmt.Errorf("attribute %q: %s has none of that name", a.key, def.Name())
				}
				if seen[a.key] {
					return nil, fmt.Errorf("attribute %q: given twice", a.key)
				}
				seen[a.key] = true
				if err := parseField(f.at, a.value); err != nil {
					return nil, fmt.Errorf("attribute %q: %w", a.key, err)
				}
			}
			return o, nil
		},
	}
}

var one = [2]int{1, 1}

func none[T any](*T) []field { return nil }

// opSpecs lists every op of the IR.
var opSpecs = func() map[string]opSpec {
	m := map[string]opSpec{}
	for _, s := range []opSpec{
		spec(Conv2D{Stride: one, Dilation: one, Groups: 1}, func(o *Conv2D) []field {
			return []field{{"stride", &o.Stride}, {"padding", &o.Padding}, {"dilation", &o.Dilation}, {"groups", &o.Groups},
				{"bias", &o.Bias}, {"add", &o.Add}, {"act", &o.Act}}
		}),
		spec(Gate{}, func(o *Gate) []field { return []field{{"add", &o.Add}, {"act", &o.Act}} }),
		spec(SplitAttention{Groups: 1}, func(o *SplitAttention) []field {
			return []field{{"radix", &o.Radix}, {"groups", &o.Groups}, {"add", &o.Add}, {"act", &o.Act}}
		}),
		spec(Linear{}, func(o *Linear) []field { return []field{{"bias", &o.Bias}} }),
		spec(BatchNorm{}, func(o *BatchNorm) []field { return []field{{"epsilon", &o.Epsilon}} }),
		spec(GroupNorm{}, func(o *GroupNorm) []field {
			return []field{{"groups", &o.Groups}, {"epsilon", &o.Epsilon}, {"act", &o.Act}}
		}),
		spec(MaxPool{Stride: one}, func(o *MaxPool) []field {
			return []field{{"kernel", &o.Kernel}, {"stride", &o.Stride}, {"padding", &o.Padding}, {"ceil_mode", &o.CeilMode}}
		}),
		spec(AvgPool{Stride: one}, func(o *AvgPool) []field {
			return []field{{"kernel", &o.Kernel}, {"stride", &o.Stride}, {"padding", &o.Padding}, {"ceil_mode", &o.CeilMode},
				{"count_include_pad", &o.CountIncludePad}}
		}),
		spec(Reshape{}, func(o *Reshape) []field { return []field{{"to", &o.To}} }),
		spec(ChannelSlice{}, func(o *ChannelSlice) []field { return []field{{"begin", &o.Begin}, {"end", &o.End}} }),
		spec(SpatialPad{}, func(o *SpatialPad) []field { return []field{{"padding", &o.Padding}, {"reflect", &o.Reflect}} }),
		spec(ChannelPad{}, func(o *ChannelPad) []field { return []field{{"before", &o.Before}, {"after", &o.After}} }),
		spec(Subsample{Stride: one}, func(o *Subsample) []field { return []field{{"stride", &o.Stride}} }),
		spec(ReLU{}, none[ReLU]), spec(Add{}, none[Add]), spec(Softmax{}, none[Softmax]),
		spec(Flatten{}, none[Flatten]), spec(Concat{}, none[Concat]), spec(GlobalAvgPool{}, none[GlobalAvgPool]),
	} {
		m[s.name] = s
	}
	return m
}()

// OpNames returns the names of all ops of the IR, sorted.
func OpNames() []string {
	names := make([]string, 0, len(opSpecs))
	for n := range opSpecs {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

func printAttrs(op Op) []attr { return opSpecs[op.Name()].print(op) }

func parseOp(name string, words []string) (Op, error) {
	s, ok := opSpecs[name]
	if !ok {
		return nil, fmt.Errorf("unknown op %.40q", name)
	}
	attrs := make([]attr, len(words))
	for i, w := range words {
		k, v, ok := strings.Cut(w, "=")
		if !ok {
			return nil, fmt.Errorf("attribute %.40q: want key=value", w)
		}
		attrs[i] = attr{k, v}
	}
	return s.parse(attrs)
}

func findField(fs []field, key string) *field {
	for i := range fs {
		if fs[i].key == key {
			return &fs[i]
		}
	}
	return nil
}

func formatField(at any) string {
	switch p := at.(type) {
	case *int:
		return strconv.Itoa(*p)
	case *bool:
		return strconv.FormatBool(*p)
	case *float64:
		return strconv.FormatFloat(*p, 'g', -1, 64)
	case *[2]int:
		return fmt.Sprintf("%d,%d", p[0], p[1])
	case *[3]int:
		return fmt.Sprintf("%d,%d,%d", p[0], p[1], p[2])
	case *Padding:
		return fmt.Sprintf("%d,%d,%d,%d", p.Top, p.Left, p.Bottom, p.Right)
	case *Activation:
		return p.String()
	}
	panic(fmt.Sprintf("graph: bug: field of type %T", at))
}

func parseField(at any, s string) error {
	var err error
	switch p := at.(type) {
	case *int:
		err = parseInts(s, p)
	case *bool:
		if *p = s == "true"; !*p && s != "false" {
			err = fmt.Errorf("want true or false, got %.40q", s)
		}
	case *float64:
		if *p, err = strconv.ParseFloat(s, 64); err != nil {
			err = fmt.Errorf("want a number, got %.40q", s)
		}
	case *[2]int:
		err = parseInts(s, &p[0], &p[1])
	case *[3]int:
		err = parseInts(s, &p[0], &p[1], &p[2])
	case *Padding:
		err = parseInts(s, &p.Top, &p.Left, &p.Bottom, &p.Right)
	case *Activation:
		switch s {
		case "none":
			*p = NoActivation
		case "relu":
			*p = ActReLU
		default:
			err = fmt.Errorf("want none or relu, got %.40q", s)
		}
	default:
		panic(fmt.Sprintf("graph: bug: field of type %T", at))
	}
	return err
}

func parseInts(s string, at ...*int) error {
	parts := strings.Split(s, ",")
	if len(parts) != len(at) {
		return fmt.Errorf("want %d numbers separated by commas, got %.40q", len(at), s)
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil {
			return fmt.Errorf("want a number, got %.40q", p)
		}
		*at[i] = n
	}
	return nil
}
