package pattern

// Match is a compiled OS_Match pattern.
type Match struct{ src string }

// Regex is a compiled OS_Regex pattern.
type Regex struct{ src string }
