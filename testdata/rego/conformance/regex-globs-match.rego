# opa: true
package t

result := regex.globs_match("a.*", "ab.*")
