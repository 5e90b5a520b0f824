@echo off
echo hello
exit /b 0
