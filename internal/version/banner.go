package version

// Banner is what OSSEC's programs print for -V: an almost empty line, product and version, another one, and the licence. Scripts take the
// version from it.
func Banner() string {
	return " \n" + Product + " " + Compat + " - Vedette " + Version + "\n \nThis program is free software; see the file LICENSE of its distribution.\n"
}
