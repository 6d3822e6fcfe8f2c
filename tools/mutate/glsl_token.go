package main

import "strings"

// kind is the kind of a token.
type kind uint8

const (
	identToken kind = iota + 1
	numberToken
	symbolToken
)

// word is a token of GLSL and where it stands.
type word struct {
	kind       kind
	text       string
	start, end int
}

// symbols of more than one character, the longer first.
var symbols = []string{"<<=", ">>=", "++", "--", "+=", "-=", "*=", "/=", "%=", "==", "!=", "<=", ">=", "&&", "||", "<<", ">>"}

// tokens cuts GLSL into words. Comments and preprocessor lines are left out.
func tokens(src string) []word {
	var out []word
	lineStart := true
	for i := 0; i < len(src); {
		c := src[i]
		switch {
		case c == '\n':
			lineStart = true
			i++
			continue
		case c == ' ' || c == '\t' || c == '\r':
			i++
			continue
		case c == '#' && lineStart:
			i = endOfLine(src, i)
			continue
		case strings.HasPrefix(src[i:], "//"):
			i = endOfLine(src, i)
			continue
		case strings.HasPrefix(src[i:], "/*"):
			n := strings.Index(src[i+2:], "*/")
			if n < 0 {
				return out
			}
			i += n + 4
			continue
		}
		lineStart = false
		t := word{kind: symbolToken, start: i}
		switch {
		case letter(c):
			t.kind = identToken
			for i < len(src) && (letter(src[i]) || digit(src[i])) {
				i++
			}
		case digit(c):
			t.kind = numberToken
			for i < len(src) && (letter(src[i]) || digit(src[i]) || src[i] == '.') {
				i++
			}
		default:
			n := 1
			for _, s := range symbols {
				if strings.HasPrefix(src[i:], s) {
					n = len(s)
					break
				}
			}
			i += n
		}
		t.end = i
		t.text = src[t.start:i]
		out = append(out, t)
	}
	return out
}

func endOfLine(src string, i int) int {
	if n := strings.IndexByte(src[i:], '\n'); n >= 0 {
		return i + n
	}
	return len(src)
}

func letter(c byte) bool { return c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' }
func digit(c byte) bool  { return '0' <= c && c <= '9' }

// scope marks the tokens that operators may change: those of function bodies and of constants that are not specialized.
// What a layout declares is the interface, which only mutants written by hand change.
func scope(ts []word) []bool {
	in := make([]bool, len(ts))
	depth := 0
	function := false
	for i := 0; i < len(ts); i++ {
		switch t := ts[i].text; {
		case depth == 0 && t == "const":
			for ; i < len(ts) && ts[i].text != ";"; i++ {
				in[i] = true
			}
		case depth == 0 && t == "layout":
			i = skipDeclaration(ts, i)
		case t == "{":
			if depth == 0 {
				function = i == 0 || ts[i-1].text == ")" // a file that begins with a block belongs into a function
			}
			depth++
		case t == "}":
			depth--
		default:
			in[i] = depth > 0 && function
		}
	}
	return in
}

// skipDeclaration returns the index of the semicolon that ends the declaration which begins at i.
func skipDeclaration(ts []word, i int) int {
	for depth := 0; i < len(ts); i++ {
		switch ts[i].text {
		case "{", "(":
			depth++
		case "}", ")":
			depth--
		case ";":
			if depth == 0 {
				return i
			}
		}
	}
	return i
}

// closing returns the index of the bracket that closes the one at i.
func closing(ts []word, i int) int {
	depth := 0
	for ; i < len(ts); i++ {
		switch ts[i].text {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
		}
		if depth == 0 {
			return i
		}
	}
	return len(ts) - 1
}

// opening returns the index of the bracket that opens the one at i.
func opening(ts []word, i int) int {
	depth := 0
	for ; i >= 0; i-- {
		switch ts[i].text {
		case ")", "]", "}":
			depth++
		case "(", "[", "{":
			depth--
		}
		if depth == 0 {
			return i
		}
	}
	return 0
}

// operandEnd returns the index after the operand that begins at i: a name, number or bracket with what hangs on it.
func operandEnd(ts []word, i int) int {
	for i < len(ts) && (ts[i].text == "-" || ts[i].text == "!") {
		i++
	}
	if i < len(ts) && ts[i].text == "(" {
		i = closing(ts, i)
	}
	for i++; i < len(ts); i++ {
		switch ts[i].text {
		case "(", "[":
			i = closing(ts, i)
		case ".":
			i++
		default:
			return i
		}
	}
	return i
}

// termEnd returns the index after the product that begins at i.
func termEnd(ts []word, i int) int {
	for i = operandEnd(ts, i); i < len(ts); i = operandEnd(ts, i+1) {
		if t := ts[i].text; t != "*" && t != "/" && t != "%" {
			break
		}
	}
	return i
}

// endOf returns the index of the first token from i on, outside brackets, that is one of stops or closes a bracket.
func endOf(ts []word, i int, stops ...string) int {
	for ; i < len(ts); i++ {
		switch t := ts[i].text; t {
		case "(", "[", "{":
			i = closing(ts, i)
		case ")", "]", "}", ";":
			return i
		default:
			for _, s := range stops {
				if t == s {
					return i
				}
			}
		}
	}
	return i
}

// beginOf returns the index after the last token before i, outside brackets, that is one of stops or opens a bracket.
func beginOf(ts []word, i int, stops ...string) int {
	for i--; i >= 0; i-- {
		switch t := ts[i].text; t {
		case ")", "]", "}":
			i = opening(ts, i)
		case "(", "[", "{", ";":
			return i + 1
		default:
			for _, s := range stops {
				if t == s {
					return i + 1
				}
			}
		}
	}
	return 0
}
