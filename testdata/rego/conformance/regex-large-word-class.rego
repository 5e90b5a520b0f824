# opa: true
package t

result := regex.match(`^\w{1,100}$`, "a")
