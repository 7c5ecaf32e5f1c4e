Console.Error.WriteLine("pooler");
