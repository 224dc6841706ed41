process.stdout.write('bearerd\n');
