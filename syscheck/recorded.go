package syscheck

// Recorded gives the checksum text that the baseline holds of a path. While a message about the path is being sent that is still the
// earlier state.
func (m *Monitor) Recorded(path string) (text string, ok bool) {
	e, ok := m.store.get(path)
	if !ok {
		return "", false
	}
	return e.file.Text(e.set), true
}
