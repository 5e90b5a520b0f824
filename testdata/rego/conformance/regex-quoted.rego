# opa: true
package t

result := regex.match(`^\Qa.b\E$`, "a.b")
